/**
 * The transactions of a page that may be left at any moment. A page that is left may come back from the back/forward
 * cache.
 *
 * ```text
 *   shown ──page is left──> left: what waits for answers is aborted, and starts again when the page is back
 *     ▲                       │   what is committed may still be stored
 *     └──page is back─────────┘
 * ```
 *
 * WebKit does not answer the next page of the origin if a transaction was open and not committed when the page was left.
 * What was committed then it may fail with `InvalidStateError` when the page is back.
 */
import { watchLeaving } from "../platform/page-lifecycle.js";

export class PageTransactions {
  /** The running transactions, and whether they are committed. */
  readonly #running = new Map<IDBTransaction, boolean>();
  /** Transactions that ran when the page was left. */
  readonly #interrupted = new WeakSet<IDBTransaction>();
  /** Resolves when the page is back; undefined while it is shown. */
  #returning: Promise<void> | undefined;
  #unwatch: (() => void) | undefined;

  /** Watches the page, until `stop`. */
  start(): void {
    this.#unwatch ??= watchLeaving(() => this.#leave());
  }

  stop(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  /** Whether the page is left, for good or not. */
  get isLeft(): boolean {
    return this.#returning !== undefined;
  }

  /** Resolves once the page is shown. If it does not come back, never. */
  async untilShown(): Promise<void> {
    while (this.#returning) await this.#returning;
  }

  /** A transaction has begun. */
  add(transaction: IDBTransaction): void {
    this.#running.set(transaction, false);
    for (const type of ["complete", "abort"])
      transaction.addEventListener(type, () => this.#running.delete(transaction));
  }

  /** Commits a transaction, which then waits for no answer. */
  commit(transaction: IDBTransaction): void {
    if (!transaction.commit) return;
    transaction.commit();
    if (this.#running.has(transaction)) this.#running.set(transaction, true);
  }

  /** Whether the page was left while a transaction ran: its failure says nothing about the database. */
  isInterrupted(transaction: IDBTransaction): boolean {
    return this.#interrupted.has(transaction);
  }

  /** Returns what to do when the page is back. */
  #leave(): () => void {
    let resolve!: () => void;
    this.#returning ??= new Promise((done) => {
      resolve = done;
    });
    for (const [transaction, isCommitted] of this.#running) {
      this.#interrupted.add(transaction);
      try {
        if (!isCommitted) transaction.abort();
      } catch {
        // It has ended already.
      }
    }
    return () => {
      this.#returning = undefined;
      resolve();
    };
  }
}
