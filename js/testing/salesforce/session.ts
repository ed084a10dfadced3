/**
 * One Bayeux session: its subscriptions, what waits for it, and the poll that is held for it.
 *
 * ```text
 *   handshake ─> new ──connect──> held ──event, time, release──> answered ──connect within the gap──> held
 *                                  │ │                            └──no connect within the gap──> expired
 *                                  │ └──the caller goes──> answered, and nothing was taken
 *                                  └──another connect──> the first one fails
 * ```
 *
 * It knows no messages but the events that it gives out, and reads no clock: it is told the time.
 */
import type { Lifetime } from "../service.js";
import type { Subscription } from "./channels.js";
import type { StoredEvent } from "./replay.js";
import { startTimer, stopTimer } from "../../platform/clock.js";

/** How a held poll ended. Events and time make an answer; a duplicate and a lost session fail it; the rest is no answer at all. */
export type PollEnd = "events" | "time" | "duplicate" | "lost" | "revoked" | "dropped";

/** How long a session lasts, and how much may wait in it. */
export interface SessionLimits {
  /** How long after an answer the next connect may come. */
  gapMs: number;
  /** How many events may wait; a session with more is lost. */
  maxQueue: number;
  /** How many events one answer carries. */
  maxEventsPerAnswer: number;
}

/** One session of a client. */
export class Session {
  /** What it was subscribed to, by the name as the client wrote it. */
  readonly subscriptions = new Map<string, Subscription>();
  /** Whether a connect was answered. */
  isConnected = false;
  readonly clientId: string;
  readonly username: string;
  /** The cookie that has to come back, if the platform could set one. */
  readonly browserCookie: string | undefined;
  /** Whether events come with answers to connect only, and again until they are acknowledged. */
  readonly acknowledges: boolean;
  readonly #limits: SessionLimits;
  #waiting: StoredEvent[] = [];
  #unacknowledged: { lastBatch: number; events: StoredEvent[] }[] = [];
  #batch = 0;
  #answeredAt: number;
  #endPoll: ((end: PollEnd) => void) | undefined;
  #isOverflowed = false;

  constructor(
    of: { clientId: string; username: string; browser: string | undefined; acknowledges: boolean },
    limits: SessionLimits,
    now: number,
  ) {
    this.clientId = of.clientId;
    this.username = of.username;
    this.browserCookie = of.browser;
    this.acknowledges = of.acknowledges;
    this.#limits = limits;
    this.#answeredAt = now;
  }

  /** Whether a poll is held for it. */
  get isHeld(): boolean {
    return this.#endPoll !== undefined;
  }

  /** Whether events wait for it. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether it is gone: too long without a connect, or more waiting than is kept. */
  isExpired(now: number): boolean {
    return this.#isOverflowed || (!this.isHeld && now - this.#answeredAt > this.#limits.gapMs);
  }

  /** Gives it an event that was published, once if it is subscribed to it in whatever way. Whether it is. */
  deliver(event: StoredEvent): boolean {
    for (const { matchesChannel: covers, matchesFilter: admits } of this.subscriptions.values()) {
      if (!covers(event.channel) || !admits(event.data)) continue;
      this.queue([event]);
      return true;
    }
    return false;
  }

  /** Has events wait for the next answer. */
  queue(events: readonly StoredEvent[]): void {
    if (events.length === 0) return;
    if (this.#waiting.length + events.length > this.#limits.maxQueue) {
      this.#isOverflowed = true;
      return this.endPoll("lost");
    }
    for (const event of events) this.#waiting.push(event);
    // All that is published in one go comes with one answer.
    queueMicrotask(() => {
      if (this.hasWaiting) this.endPoll("events");
    });
  }

  /** Takes what goes out with an answer. Without acknowledgement it counts as delivered from now on. */
  take(isConnect: boolean): StoredEvent[] {
    if (this.acknowledges && !isConnect) return [];
    const taken = this.#waiting.splice(0, this.#limits.maxEventsPerAnswer);
    if (this.acknowledges) {
      this.#batch++;
      if (taken.length > 0) this.#unacknowledged.push({ lastBatch: this.#batch, events: taken });
    }
    return taken;
  }

  /** The number of the last answer to a connect, for the acknowledgement. */
  get batch(): number {
    return this.#batch;
  }

  /** Forgets what came up to that answer, and has the rest wait again. */
  acknowledge(batch: number): void {
    const missed = this.#unacknowledged.filter((sent) => sent.lastBatch > batch);
    this.#unacknowledged = [];
    this.#waiting.unshift(...missed.flatMap(({ events }) => events));
  }

  /** Notes that an answer went out. */
  noteResponse(now: number): void {
    this.#answeredAt = now;
  }

  /** Holds a poll until something ends it. `request` is held whole: some runtimes let a signal go deaf when its request is collected. */
  hold(ms: number, request: Request, lifetime: Lifetime): Promise<PollEnd> {
    this.endPoll("duplicate");
    return new Promise((resolve) => {
      const end = (how: PollEnd) => {
        this.#endPoll = undefined;
        stopTimer(timer);
        leave();
        resolve(how);
      };
      const timer = startTimer(() => end("time"), ms);
      this.#endPoll = end;
      let leave = () => {};
      leave = lifetime.onClose(() => end("dropped"), request.signal);
    });
  }

  /** Ends the poll that is held, if one is. */
  endPoll(how: PollEnd): void {
    this.#endPoll?.(how);
  }
}
