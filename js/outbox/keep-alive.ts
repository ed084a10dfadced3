/** Keeps an edge function alive while accepted events are delivered. */
export class KeepAlive {
  /** Waits until the events are delivered, or so many milliseconds. */
  readonly #drain: (budgetMs: number) => Promise<unknown>;
  #waitUntil: ((promise: Promise<unknown>) => void) | undefined;
  #budgetMs = 0;
  #isActive = false;

  constructor(drain: (budgetMs: number) => Promise<unknown>) {
    this.#drain = drain;
  }

  /** A request to the function has begun. */
  begin(waitUntil: (promise: Promise<unknown>) => void, budgetMs: number): void {
    this.#waitUntil = waitUntil;
    this.#budgetMs = budgetMs;
    this.#isActive = false;
  }

  /** There are events to deliver. */
  extend(): void {
    if (!this.#waitUntil || this.#isActive) return;
    this.#isActive = true;
    const work = this.#drain(this.#budgetMs)
      .catch(() => undefined)
      .finally(() => {
        this.#isActive = false;
      });
    try {
      this.#waitUntil(work);
    } catch {
      // The request that it belongs to is over.
      this.#waitUntil = undefined;
    }
  }
}
