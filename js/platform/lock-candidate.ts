/**
 * Leads while it holds a Web Lock, which the browser gives to the next one when a tab ends. A tab that hangs (an open
 * `alert`, an endless loop) keeps its lock; therefore the leader sends signs of life, and who waits in vain takes the
 * lock from it.
 *
 * ```text
 *   waiting ──the lock is granted──> leading ──the lock was stolen──> waiting
 *      │  ▲                             ▲
 *      │  └──────── an answer ───┐      │
 *      └─silence─> ping ─────────┴──> no answer ──random delay, still no sign of life──> steal the lock
 * ```
 *
 * Silence alone proves nothing: hidden tabs run their timers once a minute. They do answer messages.
 */
import type { Candidate, ElectionMessage } from "./candidate.js";
import { monotonicNow, sleep, startIdleTimer, stopTimer, type Timer } from "./clock.js";
import { random } from "./random.js";

/** The times of all elections by locks, in milliseconds. Tests shorten them. */
export const lockTimes: { beat: number; silence: number; answer: number; maxDelay: number } = {
  /** Interval of the signs of life, and of the checks whether they come. */
  beat: 5000,
  /** A leader that was silent for so long is asked. It starts no request before the lock manager says that it still has the lock. */
  silence: 15_000,
  /** How long it may take to answer. */
  answer: 5000,
  /** Upper limit of the random delay before the lock is stolen. */
  maxDelay: 2000,
};

/**
 * An answer of the lock manager that took longer may have waited until this program continued. Meanwhile the lock may have
 * been stolen, of which the program is told after that answer.
 */
const MAX_ANSWER_MS = 100;
/** A platform that refuses so many requests in a row refuses all. */
const MAX_REFUSALS = 5;

export interface LockCandidateOptions {
  locks: LockManager;
  name: string;
  /** Sends a message to all other candidates. Undefined if there is no channel: then no lock is stolen. */
  send: ((message: ElectionMessage) => void) | undefined;
  onChange(isLeader: boolean): void;
}

export class LockCandidate implements Candidate {
  readonly #options: LockCandidateOptions;
  #isWithdrawn = false;
  #isLeader = false;
  /** When another leader last gave a sign of life, or this wait began. */
  #heardAt = monotonicNow();
  /** How many there were. Not by their times: the clock of a browser may be coarse. */
  #heardCount = 0;
  /** When this leader last gave one, certain of its lock. Others steal the lock only after a long silence. */
  #certainAt = -Infinity;
  /** The question whether the lock is still held here. */
  #asking: Promise<boolean> | undefined;
  /** Who holds the lock, as the lock manager calls this page. Undefined if it leads without a lock. */
  #ownId: Promise<string | undefined> | undefined;
  #timer: Timer | undefined;
  #stopWaiting = new AbortController();
  /** The request for the lock that counts. What comes of earlier ones is ignored. */
  #lastRequest: object | undefined;
  /** How many requests in a row ended as if the lock was stolen, before it was granted. */
  #refusals = 0;
  #releaseLock: () => void = () => undefined;

  constructor(options: LockCandidateOptions) {
    this.#options = options;
    // First without waiting, to learn whether there is another leader.
    this.#request({ ifAvailable: true });
  }

  confirm(): boolean | Promise<boolean> {
    return this.#isLeader && monotonicNow() - this.#certainAt < lockTimes.silence ? true : this.#askForLock();
  }

  withdraw(): void {
    this.#isWithdrawn = true;
    stopTimer(this.#timer);
    this.#stopWaiting.abort();
    this.#releaseLock();
  }

  onMessage({ election }: ElectionMessage): void {
    if (election === "alive") {
      this.#heardAt = monotonicNow();
      this.#heardCount++;
      // Two lead. The browser has not told yet which one has lost its lock, or never does.
      if (this.#isLeader) void this.#resignIfStolen();
    } else if (this.#isLeader && this.confirm() === true) this.#beat();
  }

  #request(options: LockOptions): void {
    const { locks, name } = this.#options;
    let isGranted = false;
    const request = {};
    this.#lastRequest = request;
    const requestedAt = monotonicNow();
    const heard = this.#heardCount;
    const granted = (lock: Lock | null) => {
      // WebKit may call this after it has told that the lock was stolen.
      if (this.#isWithdrawn || this.#lastRequest !== request) return undefined;
      if (!lock) return void this.#wait();
      // The former leader gave a sign of life after all. It asks for its lock again, behind those who wait.
      if (options.steal && this.#heardCount > heard) return void this.#wait();
      isGranted = true;
      this.#refusals = 0;
      return this.#lead(requestedAt);
    };
    locks.request(name, options, granted).catch((error: unknown) => {
      if (this.#isWithdrawn || options.signal?.aborted || this.#lastRequest !== request) return;
      // Another candidate has stolen the lock, perhaps before this one knew that it had it.
      const isStolen = (error as Error | undefined)?.name === "AbortError" && ++this.#refusals < MAX_REFUSALS;
      if (isGranted || isStolen) this.#wait();
      // Some platforms reject all requests for locks. Then everyone leads.
      else this.#setLeader(true);
    });
  }

  #wait(): void {
    this.#heardAt = monotonicNow();
    this.#certainAt = -Infinity;
    this.#stopWaiting = new AbortController();
    this.#setLeader(false);
    this.#request({ signal: this.#stopWaiting.signal });
    this.#watch();
  }

  /** The lock that was requested at that time is granted. Returns the promise that holds it. */
  #lead(requestedAt: number): Promise<void> {
    // When the answer comes, another one may be the holder.
    this.#ownId = Promise.all([this.#clientId(), this.#holder()]).then(([own, holder]) => own ?? holder);
    // One that was granted late may be stolen already.
    if (monotonicNow() - requestedAt < MAX_ANSWER_MS) this.#beat();
    this.#watch();
    this.#setLeader(true);
    void this.confirm();
    return new Promise((resolve) => {
      this.#releaseLock = resolve;
    });
  }

  #setLeader(isLeader: boolean): void {
    this.#isLeader = isLeader;
    this.#options.onChange(isLeader);
  }

  #beat(): void {
    this.#certainAt = monotonicNow();
    this.#options.send?.({ election: "alive" });
  }

  /** While it leads, gives signs of life; while it waits, checks whether they come. */
  #watch(): void {
    stopTimer(this.#timer);
    if (!this.#options.send) return;
    this.#timer = startIdleTimer(() => {
      if (!this.#isLeader && monotonicNow() - this.#heardAt > lockTimes.silence) return void this.#askLeader();
      // A leader that had hung may have lost its lock, and must not seem alive.
      if (this.#isLeader && this.confirm() === true) this.#beat();
      this.#watch();
    }, lockTimes.beat);
  }

  async #askLeader(): Promise<void> {
    const heard = this.#heardCount;
    this.#options.send?.({ election: "ping" });
    // Of several that wait, the first one to steal gives a sign of life, and the others stop.
    await sleep(lockTimes.answer + random() * lockTimes.maxDelay);
    if (this.#isWithdrawn || this.#isLeader) return;
    if (this.#heardCount > heard) return this.#watch();
    this.#stopWaiting.abort();
    this.#request({ steal: true });
  }

  /** Whether the lock is still held here, after a time in which this program may have hung. */
  #askForLock(): Promise<boolean> {
    if (!this.#isLeader || !this.#ownId) return Promise.resolve(this.#isLeader);
    this.#asking ??= this.#askUntilCertain().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #askUntilCertain(): Promise<boolean> {
    // The limit grows, because on a machine under load every answer may take long.
    for (let limitMs = MAX_ANSWER_MS; ; limitMs *= 2) {
      const [askedAt, request] = [monotonicNow(), this.#lastRequest];
      await this.#resignIfStolen();
      if (!this.#isLeader || this.#isWithdrawn) return false;
      if (monotonicNow() - askedAt < limitMs && this.#lastRequest === request) break;
    }
    this.#beat();
    return true;
  }

  /** Waits for the lock again if another one has it. */
  async #resignIfStolen(): Promise<void> {
    const request = this.#lastRequest;
    const [own, holder] = [await this.#ownId, await this.#holder()];
    const isStolen = own !== undefined && holder !== undefined && own !== holder;
    if (!isStolen || !this.#isLeader || this.#isWithdrawn || this.#lastRequest !== request) return;
    this.#releaseLock();
    this.#wait();
  }

  /** What the lock manager calls this page: the holder of a lock that nobody else knows. Undefined if it does not tell. */
  async #clientId(): Promise<string | undefined> {
    const { locks, name } = this.#options;
    const ownName = `${name} ${random()}`;
    const clientId = async () => (await locks.query()).held?.find((lock) => lock.name === ownName)?.clientId;
    return locks.request(ownName, { ifAvailable: true }, clientId).catch(() => undefined);
  }

  /** Who holds the lock; undefined if that cannot be known. */
  async #holder(): Promise<string | undefined> {
    const { locks, name } = this.#options;
    try {
      const { held = [] } = await locks.query();
      return held.find((lock) => lock.name === name)?.clientId ?? "";
    } catch {
      return undefined;
    }
  }
}
