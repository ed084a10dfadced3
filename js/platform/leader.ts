/**
 * Elects a leader among all tabs or processes that share a store. Only the leader sends.
 *
 * ```text
 *   join ──> waiting ──lock or lease──> leading ──release, or the lease is lost──> (waiting)
 * ```
 *
 * With Web Locks, the platform elects a new leader when a tab ends. Without them there are leases in the store. Where
 * these do not work either, everyone leads, which causes duplicates but no loss.
 */
import { startTimer, stopTimer, type Timer } from "./clock.js";
import { random } from "./random.js";

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
   * Requests a lease from the store, if the store has leases. Resolves with whether `owner` may lead; never rejects.
   */
  lease: ((owner: string, durationMs: number) => Promise<boolean>) | undefined;
}

const LEASE_MS = 15_000;

/** Runs `body` while leading, if nobody else leads. */
export async function runAsLeader({ name, isShared, lease }: ElectionScope, body: () => Promise<void>): Promise<void> {
  const locks = lockManager(isShared);
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

/** One candidate of an election. */
export class LeaderElection<M = never> {
  readonly #name: string;
  readonly #isShared: boolean;
  readonly #lease: ElectionScope["lease"];
  readonly #listener: ElectionListener<M>;
  readonly #channel: BroadcastChannel | undefined;
  readonly #owner = newOwner();
  /** Withdraws the candidate; undefined before `join` and after `release`. */
  #withdraw: (() => void) | undefined;
  /** Undefined until the first answer of the lock manager or the store. */
  #isLeader: boolean | undefined;

  constructor({ name, isShared, lease }: ElectionScope, listener: ElectionListener<M>) {
    this.#name = lockName(name);
    this.#isShared = isShared;
    this.#lease = lease;
    this.#listener = listener;
    if (isShared && typeof BroadcastChannel !== "undefined") {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = ({ data }) => listener.onMessage(data as M);
      // Without it, Node would not exit.
      (this.#channel as { unref?: () => void }).unref?.();
    }
  }

  /** Becomes a candidate. */
  join(): void {
    if (this.#withdraw) return;
    const locks = lockManager(this.#isShared);
    if (locks) {
      this.#joinByLock(locks);
    } else if (this.#isShared && this.#lease) {
      void this.#joinByLease(this.#lease);
    } else {
      this.#withdraw = () => undefined;
      this.#setLeader(true);
    }
  }

  /** Is no candidate any more; another one may lead. */
  release(): void {
    this.#withdraw?.();
    this.#withdraw = undefined;
    this.#setLeader(false);
    // After another `join` the listener is told again.
    this.#isLeader = undefined;
  }

  /** Sends a message to the other tabs or processes. */
  broadcast(message: M): void {
    try {
      this.#channel?.postMessage(message);
    } catch {
      // Deno throws if the channel is not subscribed yet. The others find out from the store.
    }
  }

  /** Like `broadcast`, for a message that is only created if there is a channel. */
  broadcastLazily(message: () => M): void {
    if (this.#channel) this.broadcast(message());
  }

  /** Leaves the election without a call of `onLeaderChange`. */
  close(): void {
    this.#withdraw?.();
    this.#withdraw = undefined;
    this.#channel?.close();
  }

  #joinByLock(locks: LockManager): void {
    const controller = new AbortController();
    let releaseLock!: () => void;
    const released = new Promise<void>((resolve) => {
      releaseLock = resolve;
    });
    let isWithdrawn = false;
    this.#withdraw = () => {
      isWithdrawn = true;
      controller.abort();
      releaseLock();
    };
    const lead = () => {
      if (isWithdrawn) return undefined;
      this.#setLeader(true);
      return released;
    };
    const wait = () => {
      this.#setLeader(false);
      return locks.request(this.#name, { signal: controller.signal }, lead);
    };
    // Some platforms reject all requests for locks.
    const failed = () => void (isWithdrawn || this.#setLeader(true));
    // First without waiting, to learn whether there is another leader.
    locks
      .request(this.#name, { ifAvailable: true }, (lock) =>
        lock ? lead() : void (isWithdrawn || wait().catch(failed)),
      )
      .catch(failed);
  }

  async #joinByLease(lease: NonNullable<ElectionScope["lease"]>): Promise<void> {
    let timer: Timer | undefined;
    let isWithdrawn = false;
    this.#withdraw = () => {
      isWithdrawn = true;
      stopTimer(timer);
      if (this.#isLeader) void lease(this.#owner, 0);
    };
    const renew = async () => {
      const isLeader = await lease(this.#owner, LEASE_MS);
      if (isWithdrawn) return;
      this.#setLeader(isLeader);
      timer = startTimer(() => void renew(), isLeader ? LEASE_MS / 3 : LEASE_MS / 3 + random() * 1000);
      // Without it, Deno and Node would not exit.
      (timer as { unref?: () => void }).unref?.();
    };
    await renew();
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

/** The Web Locks of the platform, if it has them and they are needed. */
function lockManager(isShared: boolean): LockManager | undefined {
  return isShared && typeof navigator !== "undefined" ? navigator.locks : undefined;
}
