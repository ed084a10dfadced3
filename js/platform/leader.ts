/**
 * One drainer among all tabs or processes that share a store.
 *
 * ```text
 *   apply ──> waiting ──lock or lease──> leading ──release, or the lease is lost──> (waiting)
 * ```
 *
 * With Web Locks the platform passes the lead on when a tab ends. Without them there are leases in the store, and where these do not
 * work either everybody leads, which costs duplicates and no loss.
 */
import { startTimer, stopTimer, type Timer } from "./clock.js";
import { random } from "./random.js";

export interface ElectionListener<M> {
  onLeaderChange(leads: boolean): void;
  onMessage(message: M): void;
}

/** What tabs share. */
export interface ElectionScope {
  name: string;
  /** The kind of the store. */
  kind: string;
  isShared: boolean;
  /** Asks the store for a lease, if it has such; says whether we may lead. Never rejects. */
  lease: ((owner: string, forMs: number) => Promise<boolean>) | undefined;
}

const LEASE_MS = 15_000;

export class LeaderElection<M = never> {
  readonly #name: string;
  readonly #isShared: boolean;
  readonly #lease: ElectionScope["lease"];
  readonly #listener: ElectionListener<M>;
  readonly #channel: BroadcastChannel | undefined;
  readonly #owner = random().toString(36).slice(2);
  /** Ends the present application. */
  #end: (() => void) | undefined;
  /** Not known before somebody has answered. */
  #leads: boolean | undefined;

  constructor({ name, kind, isShared, lease }: ElectionScope, listener: ElectionListener<M>) {
    this.#name = `eventferry:${kind}:${name}`;
    this.#isShared = isShared;
    this.#lease = lease;
    this.#listener = listener;
    if (isShared && typeof BroadcastChannel !== "undefined") {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = ({ data }) => listener.onMessage(data as M);
      // In Node it would keep the process alive.
      (this.#channel as { unref?: () => void }).unref?.();
    }
  }

  /** Wants to lead. */
  join(): void {
    if (this.#end) return;
    const locks = this.#isShared && typeof navigator !== "undefined" ? navigator.locks : undefined;
    if (locks) {
      const controller = new AbortController();
      let free!: () => void;
      const held = new Promise<void>((resolve) => (free = resolve));
      let isOver = false;
      this.#end = () => {
        isOver = true;
        controller.abort();
        free();
      };
      const take = () => {
        if (isOver) return undefined;
        this.#lead(true);
        return held;
      };
      const wait = () => {
        this.#lead(false);
        return locks.request(this.#name, { signal: controller.signal }, take);
      };
      // Where the platform refuses locks.
      const failed = () => void (isOver || this.#lead(true));
      // Whoever has to wait is to know that somebody else leads.
      locks
        .request(this.#name, { ifAvailable: true }, (lock) => (lock ? take() : void (isOver || wait().catch(failed))))
        .catch(failed);
    } else if (this.#isShared && this.#lease) {
      void this.#renew(this.#lease);
    } else {
      this.#end = () => undefined;
      this.#lead(true);
    }
  }

  /** Gives the lead to others. */
  release(): void {
    this.#end?.();
    this.#end = undefined;
    this.#lead(false);
  }

  broadcast(message: M): void {
    this.#channel?.postMessage(message);
  }

  /** Says something that is only worked out if somebody may hear it. */
  broadcastLazily(message: () => M): void {
    if (this.#channel) this.broadcast(message());
  }

  close(): void {
    this.#end?.();
    this.#end = undefined;
    this.#channel?.close();
  }

  async #renew(lease: NonNullable<ElectionScope["lease"]>): Promise<void> {
    let timer: Timer | undefined;
    let isOver = false;
    this.#end = () => {
      isOver = true;
      stopTimer(timer);
      if (this.#leads) void lease(this.#owner, 0);
    };
    const step = async () => {
      const isOurs = await lease(this.#owner, LEASE_MS);
      if (isOver) return;
      this.#lead(isOurs);
      timer = startTimer(() => void step(), isOurs ? LEASE_MS / 3 : LEASE_MS / 3 + random() * 1000);
      // In Deno and Node it would keep the process alive.
      (timer as { unref?: () => void }).unref?.();
    };
    await step();
  }

  #lead(leads: boolean): void {
    if (this.#leads === leads) return;
    this.#leads = leads;
    this.#listener.onLeaderChange(leads);
  }
}
