/**
 * One Bayeux session: its subscriptions, its queued events, and the connect request that is held for it.
 *
 * ```text
 *   handshake ─> new ──connect──> held ──event, timeout, release──> answered ──connect within gapMs──> held
 *                                  │ │                               └──no connect within gapMs──> expired
 *                                  │ └──client disconnects──> answered, events stay queued
 *                                  └──another connect──> the first one fails
 * ```
 *
 * It handles no messages other than events. The time is passed in; it reads no clock.
 */
import type { Lifetime } from "../service.js";
import type { Subscription } from "./channels.js";
import type { Goodbye } from "./messages.js";
import type { StoredEvent } from "./replay.js";
import { startTimer, stopTimer } from "../../platform/clock.js";

/**
 * Why a held connect ended. `events` and `timeout` lead to a successful reply; `lost` (session removed) and `revoked`
 * (token) to a failed one; `duplicate` (another connect) to status 500; `dropped` breaks the connection.
 */
export type PollEnd = "events" | "timeout" | "duplicate" | "lost" | "revoked" | "dropped";

/** Limits of a session. */
export interface SessionLimits {
  /** Longest time between a response and the next connect. */
  gapMs: number;
  /** Maximum number of queued events; a session that exceeds it is removed. */
  maxQueue: number;
  /** Maximum number of events in one response. */
  maxEventsPerAnswer: number;
}

/** The session of one client. */
export class Session {
  /** Subscriptions by the name that the client sent. */
  readonly subscriptions: Map<string, Subscription> = new Map();
  /** Whether a connect has been answered. */
  isConnected = false;
  readonly clientId: string;
  readonly username: string;
  /** The cookie that requests must send; undefined if the platform could not set one. */
  readonly browserCookie: string | undefined;
  /** Whether events are sent only with connect replies, and again until they are acknowledged. */
  readonly acknowledges: boolean;
  readonly #limits: SessionLimits;
  #waiting: StoredEvent[] = [];
  #unacknowledged: { lastBatch: number; events: StoredEvent[] }[] = [];
  #batch = 0;
  #answeredAt: number;
  #endPoll: ((end: PollEnd) => void) | undefined;
  #goodbye: Goodbye | undefined;
  #isOverflowed = false;

  constructor(
    init: { clientId: string; username: string; browserCookie: string | undefined; acknowledges: boolean },
    limits: SessionLimits,
    now: number,
  ) {
    this.clientId = init.clientId;
    this.username = init.username;
    this.browserCookie = init.browserCookie;
    this.acknowledges = init.acknowledges;
    this.#limits = limits;
    this.#answeredAt = now;
  }

  /** Whether a connect is held for it. */
  get isHeld(): boolean {
    return this.#endPoll !== undefined;
  }

  /** Whether events are queued. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether it has gone too long without a connect, or its queue has overflowed. */
  isExpired(now: number): boolean {
    return this.#isOverflowed || (!this.isHeld && now - this.#answeredAt > this.#limits.gapMs);
  }

  /** Queues a published event once if any subscription matches. Returns whether one does. */
  deliver(event: StoredEvent): boolean {
    for (const { matchesChannel: covers, matchesFilter: admits } of this.subscriptions.values()) {
      if (!covers(event.channel) || !admits(event.data)) continue;
      this.queue([event]);
      return true;
    }
    return false;
  }

  /** Queues events for the next response. */
  queue(events: readonly StoredEvent[]): void {
    if (events.length === 0) return;
    if (this.#waiting.length + events.length > this.#limits.maxQueue) {
      this.#isOverflowed = true;
      this.endPoll("lost");
      return;
    }
    for (const event of events) this.#waiting.push(event);
    // Events published in one turn of the event loop are sent in one response.
    queueMicrotask(() => {
      if (this.hasWaiting) this.endPoll("events");
    });
  }

  /** Takes events for a response. Without acknowledgement they count as delivered from now on. */
  take(isConnect: boolean): StoredEvent[] {
    if (this.acknowledges && !isConnect) return [];
    const taken = this.#waiting.splice(0, this.#limits.maxEventsPerAnswer);
    if (this.acknowledges) {
      this.#batch++;
      if (taken.length > 0) this.#unacknowledged.push({ lastBatch: this.#batch, events: taken });
    }
    return taken;
  }

  /** The number of the last connect reply, for acknowledgement. */
  get batch(): number {
    return this.#batch;
  }

  /** Drops events sent up to that connect reply, and queues later ones again. */
  acknowledge(batch: number): void {
    const missed = this.#unacknowledged.filter((sent) => sent.lastBatch > batch);
    this.#unacknowledged = [];
    this.#waiting.unshift(...missed.flatMap(({ events }) => events));
  }

  /** Records the time of a response. */
  noteResponse(now: number): void {
    this.#answeredAt = now;
  }

  /**
   * Holds a connect until something ends it. It keeps the whole `request`, because in some runtimes its signal stops
   * firing once the request is garbage collected.
   */
  hold(ms: number, request: Request, lifetime: Lifetime): Promise<PollEnd> {
    this.endPoll("duplicate");
    return new Promise((resolve) => {
      const end = (how: PollEnd) => {
        this.#endPoll = undefined;
        stopTimer(timer);
        removeOnClose();
        resolve(how);
      };
      const timer = startTimer(() => end("timeout"), ms);
      this.#endPoll = end;
      let removeOnClose = () => {};
      removeOnClose = lifetime.onClose(() => end("dropped"), request.signal);
    });
  }

  /** Ends the held connect, if there is one. Its answer says goodbye if that is given. */
  endPoll(how: PollEnd, goodbye?: Goodbye): void {
    if (this.isHeld) this.#goodbye = goodbye;
    this.#endPoll?.(how);
  }

  /** The goodbye of the next answer. */
  takeGoodbye(): Goodbye | undefined {
    const goodbye = this.#goodbye;
    this.#goodbye = undefined;
    return goodbye;
  }
}
