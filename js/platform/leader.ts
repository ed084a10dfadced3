/**
 * Elects a leader among all tabs or processes that share a store. Only the leader sends.
 *
 * ```text
 *   join ──> waiting ──lock or lease──> leading ──release, or the lock or lease is lost──> (waiting)
 * ```
 *
 * Among the pages and workers of a browser, Web Locks decide (`lock-candidate.ts`). Everywhere else a lock ends at the
 * process, and the store does not, so leases in the store decide (`lease-candidate.ts`). Where neither works, everyone
 * leads, which causes duplicates but no loss.
 */
import type { Candidate, ElectionMessage } from "./candidate.js";
import { LEASE_MS, LeaseCandidate } from "./lease-candidate.js";
import { LockCandidate } from "./lock-candidate.js";
import { random } from "./random.js";
import { isBrowser } from "./runtime.js";

/** The owner of an election. */
export interface ElectionListener<M> {
  /** Called first when it is known whether there is another leader, then on each change. */
  onLeaderChange(isLeader: boolean): void;
  /** Another tab or process has broadcast a message. */
  onMessage(message: M): void;
}

/** What the tabs or processes of an election share. */
export interface ElectionScope {
  /** Of the lock and the channel. */
  name: string;
  isShared: boolean;
  /**
   * Requests a lease from the store, if the store has leases. Resolves with whether `owner` has it; with `undefined` if
   * the store fails. Never rejects.
   */
  lease: ((owner: string, durationMs: number) => Promise<boolean | undefined>) | undefined;
}

/** Runs `body` while leading, if nobody else leads. */
export async function runAsLeader(scope: ElectionScope, body: () => Promise<void>): Promise<void> {
  const { name, isShared, lease } = scope;
  const locks = lockManager(scope);
  if (locks) {
    await locks.request(lockName(name), { ifAvailable: true }, (lock) => (lock ? body() : undefined));
  } else if (isShared && lease) {
    const owner = newOwner();
    if (!(await lease(owner, LEASE_MS))) return;
    await body().finally(() => lease(owner, 0));
  } else {
    await body();
  }
}

/**
 * Runs `body` once no other page leads or waits before this one. Where pages have no locks, it does nothing.
 *
 * @param name that of an `ElectionScope`
 */
export async function runInTurn(name: string, body: () => Promise<void>): Promise<void> {
  await lockManager({ name, isShared: true, lease: undefined })?.request(lockName(name), body);
}

/** One candidate of an election. */
export class LeaderElection<M extends object = never> {
  readonly #scope: ElectionScope;
  readonly #listener: ElectionListener<M>;
  readonly #channel: BroadcastChannel | undefined;
  readonly #owner = newOwner();
  /** Undefined before `join` and after `release`. */
  #candidate: Candidate | undefined;
  /** Undefined until the first answer of the lock manager or the store. */
  #isLeader: boolean | undefined;
  /** The last call for the lease. */
  #lastLease: Promise<unknown> = Promise.resolve();

  constructor(scope: ElectionScope, listener: ElectionListener<M>) {
    this.#scope = scope;
    this.#listener = listener;
    if (scope.isShared && typeof BroadcastChannel !== "undefined") {
      this.#channel = new BroadcastChannel(lockName(scope.name));
      this.#channel.onmessage = ({ data }) => {
        if (!isElectionMessage(data)) listener.onMessage(data as M);
        else if (this.#candidate instanceof LockCandidate) this.#candidate.onMessage(data);
      };
      // Without it, Node would not exit.
      (this.#channel as { unref?: () => void }).unref?.();
    }
  }

  /** Whether the others are told at once what this tab or process does. Channels do not reach other processes. */
  get hasNews(): boolean {
    return this.#channel !== undefined && lockManager(this.#scope) !== undefined;
  }

  /** Becomes a candidate. */
  join(): void {
    if (this.#candidate) return;
    const { name, isShared, lease } = this.#scope;
    const locks = lockManager(this.#scope);
    const onChange = (isLeader: boolean) => this.#setLeader(isLeader);
    if (locks) {
      const send = this.#channel && ((message: ElectionMessage) => this.#post(message));
      this.#candidate = new LockCandidate({ locks, name: lockName(name), send, onChange });
    } else if (isShared && lease) {
      // One call after the other: a release must not overtake the request for what it releases.
      const inTurn = (owner: string, durationMs: number) => {
        const answer = this.#lastLease.then(() => lease(owner, durationMs));
        this.#lastLease = answer;
        return answer;
      };
      this.#candidate = new LeaseCandidate({ lease: inTurn, owner: this.#owner, onChange });
    } else {
      this.#candidate = { confirm: () => true, withdraw: () => undefined };
      onChange(true);
    }
  }

  /** Is no candidate any more; another one may lead. */
  release(): void {
    this.#withdraw();
    this.#setLeader(false);
    // After another `join` the listener is told again.
    this.#isLeader = undefined;
  }

  /** Whether it leads at this moment, and may act on it. A promise if that is not certain; it never rejects. */
  confirm(): boolean | Promise<boolean> {
    return this.#candidate?.confirm() ?? false;
  }

  /** Sends a message to the other tabs or processes. */
  broadcast(message: M): void {
    this.#post(message);
  }

  /** Like `broadcast`, for a message that is only created if there is a channel. */
  broadcastLazily(message: () => M): void {
    if (this.#channel) this.#post(message());
  }

  /**
   * Leaves the election without a call of `onLeaderChange`. Resolves when the lease is released, before which the store
   * must stay open. Never rejects.
   */
  async close(): Promise<void> {
    this.#withdraw();
    this.#channel?.close();
    await this.#lastLease;
  }

  #withdraw(): void {
    this.#candidate?.withdraw();
    this.#candidate = undefined;
  }

  #post(message: M | ElectionMessage): void {
    try {
      this.#channel?.postMessage(message);
    } catch {
      // Deno throws if the channel is not subscribed yet. The others find out from the store.
    }
  }

  #setLeader(isLeader: boolean): void {
    if (this.#isLeader === isLeader) return;
    this.#isLeader = isLeader;
    this.#listener.onLeaderChange(isLeader);
  }
}

function lockName(name: string): string {
  return `eventferry:${name}`;
}

function newOwner(): string {
  return random().toString(36).slice(2);
}

function isElectionMessage(data: unknown): data is ElectionMessage {
  return typeof (data as ElectionMessage | null)?.election === "string";
}

/**
 * The Web Locks that decide: those of a browser, or where the store has no leases the best that there is. The locks of Node,
 * Deno and Bun hold within one process only.
 */
function lockManager({ isShared, lease }: ElectionScope): LockManager | undefined {
  if (!isShared || typeof navigator === "undefined") return undefined;
  return isBrowser() || !lease ? navigator.locks : undefined;
}
