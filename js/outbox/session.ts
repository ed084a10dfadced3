/// <reference lib="esnext.disposable" preserve="true" />
/** Sessions: published events are staged until the session is flushed or rolled back. */
import { checkOptionNames, checkTimeout } from "../client/options.js";
import { FerryError, traced } from "../engine/errors.js";
import { mustBe } from "../engine/messages.js";
import { FlushedSegments } from "./flushed-segments.js";
import { type FlushReport, report } from "./report.js";
import { type BufferHost, type EventReceipt, rejectedReceipt, SessionBuffer } from "./session-buffer.js";
import { type TrackedSegment, untilSegments } from "./tracked-segment.js";
import { startTimer, stopTimer, type Timer } from "../platform/clock.js";
import { warnOnce } from "../platform/warn.js";
import { checkWaitOptions, type WaitOptions } from "./wait-options.js";
import type { Wire } from "./wire.js";

export type { EventReceipt } from "./session-buffer.js";

/** How far a flush waits, and for how long. */
export interface FlushOptions extends WaitOptions {
  /** How far the events have to get. @default "accepted" */
  until?: "accepted" | "delivered";
}

/** When a session flushes itself, beside the calls of `flush`. A failed flush is tried again, also then. */
export interface EventSessionOptions {
  /**
   * So many milliseconds after the first event that is staged. A longer time makes fewer and larger requests; what is
   * staged is lost if the process ends. @default never
   */
  autoFlushMs?: number;
  /** When so many events are staged. @default never */
  autoFlushEvents?: number;
}

/** What a driver is for a session. */
export interface SessionHost<E> extends BufferHost<E> {
  /** Sends ready events without waiting for others. */
  flushNow(): void;
}

/** The outbox as its sessions see it. */
export interface SessionOutbox<E> {
  readonly wire: Wire<E>;
  /** The driver of the present identity. @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED` */
  presentHost(): SessionHost<E>;
  /** Events of a session were committed. */
  onCommit(): void;
  /** What is staged in place of an event; `null` drops it. */
  readonly beforeSend: ((event: E) => E | null) | undefined;
}

/**
 * Buffers events until `flush`. Each event belongs to the identity that is present when it is published, and is sent
 * only under it.
 */
export class EventSession<E> {
  readonly #outbox: SessionOutbox<E>;
  readonly #isFlushedWhenHidden: boolean;
  /** The staged events of each identity. */
  readonly #buffers = new Map<SessionHost<E>, SessionBuffer<E>>();
  /** The last of them, which is nearly always the only one. */
  #last: [SessionHost<E>, SessionBuffer<E>] | undefined;
  readonly #flushed = new FlushedSegments();
  readonly #options: EventSessionOptions;
  /** When the session flushes itself. */
  #timer: Timer | undefined;

  /** @internal */
  constructor(outbox: SessionOutbox<E>, isFlushedWhenHidden: boolean, options: EventSessionOptions = {}) {
    checkSessionOptions(options);
    this.#outbox = outbox;
    this.#isFlushedWhenHidden = isFlushedWhenHidden;
    this.#options = { ...options };
    warnIfForgotten(this, this.#buffers);
  }

  /** How many events are staged. */
  get staged(): number {
    let staged = 0;
    for (const buffer of this.#buffers.values()) staged += buffer.staged;
    return staged;
  }

  /**
   * Stages an event. The event is validated and serialized immediately, so later changes to the object have no effect.
   *
   * @throws {FerryError} the error of an invalid event, with `attribute`; `ERR_QUEUE_FULL` if the event does not fit
   * and `overflow` is `"reject"` or `"wait"`; `ERR_INVALID_ARGUMENT` if `identity` fails, after which nothing is
   * staged; `ERR_CLOSED`
   */
  publish(event: E): EventReceipt {
    const { beforeSend, wire } = this.#outbox;
    const changed = beforeSend ? beforeSend(event) : event;
    if (changed === null)
      return rejectedReceipt(wire.encode(event).id, new FerryError("ERR_DROPPED", "beforeSend dropped the event"));
    const host = this.#outbox.presentHost();
    const buffer = this.#last?.[0] === host ? this.#last[1] : this.#bufferOf(host);
    const receipt = buffer.publish(changed);
    const { autoFlushMs, autoFlushEvents } = this.#options;
    if (autoFlushEvents !== undefined && this.staged >= autoFlushEvents) this.flushInBackground();
    else if (autoFlushMs !== undefined) this.#timer ??= startTimer(() => this.flushInBackground(), autoFlushMs);
    return receipt;
  }

  /** Flushes without waiting. After a failure, `autoFlushMs` counts again. @internal */
  flushInBackground(): void {
    this.flush().catch(() => {
      const { autoFlushMs } = this.#options;
      if (autoFlushMs !== undefined && this.staged > 0)
        this.#timer ??= startTimer(() => this.flushInBackground(), autoFlushMs);
    });
  }

  /**
   * Commits the staged events, all or none, and waits until they are stored, or delivered. Resolves also when the wait
   * ends earlier: then `aborted` is true, and the events are stored and delivered all the same. Events of several
   * identities are committed for each identity on its own; those of an absent identity are delivered when it is back.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad option, `ERR_CLOSED`; `ERR_STORE` if the store does not open,
   * at once if time does not mend that, otherwise after 30 s. The events are staged again, and the next flush tries
   * again.
   */
  flush(options: FlushOptions = {}): Promise<FlushReport> {
    return traced(this.#flush(options));
  }

  async #flush(options: FlushOptions): Promise<FlushReport> {
    const { until = "accepted", signal, deadlineMs } = checkWaitOptions(options);
    if (until !== "accepted" && until !== "delivered") throw mustBe("until", '"accepted" or "delivered"', until);
    const committed = this.#commit();
    const segments = committed.map(([segment]) => segment);
    const unfinished = this.#flushed.add(segments, until);
    if (until === "delivered") for (const host of this.#buffers.keys()) if (!host.isClosed) host.flushNow();
    const isDone = (segment: TrackedSegment) =>
      segment.pending === 0 || segment.storeError !== undefined || (until === "accepted" && segment.isAccepted);
    const isAllDone = await untilSegments(unfinished, isDone, signal, deadlineMs);
    for (const { storeError } of unfinished) if (storeError) throw storeError;
    const ids = committed.map(([, ids]) => ids);
    const isAborted = !isAllDone || segments.some(({ isAbandoned }) => isAbandoned);
    return report(this.#outbox.wire, segments, ids, isAborted);
  }

  /** Drops the staged events and returns their ids, the oldest first. Flushed events stay. */
  rollback(): string[] {
    this.#stopTimer();
    return [...this.#buffers.values()].flatMap((buffer) => buffer.rollback(new FerryError("ERR_ROLLED_BACK")));
  }

  /** Commits the staged events without waiting. @internal */
  commit(): void {
    this.#commit();
  }

  /** The staged events in their encoded form, the oldest first. @internal */
  stagedTexts(): Uint8Array[] {
    return [...this.#buffers.values()].flatMap((buffer) => buffer.texts());
  }

  /** Flushes the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
  }

  /** Commits the staged events of all identities, and returns their segments with the ids of their events. */
  #commit(): [TrackedSegment, string[]][] {
    this.#stopTimer();
    const committed: [TrackedSegment, string[]][] = [];
    let failure: { error: unknown } | undefined;
    for (const buffer of this.#buffers.values()) {
      try {
        committed.push(...buffer.commit());
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure) throw failure.error;
    if (committed.length > 0) this.#outbox.onCommit();
    return committed;
  }

  #stopTimer(): void {
    stopTimer(this.#timer);
    this.#timer = undefined;
  }

  #bufferOf(host: SessionHost<E>): SessionBuffer<E> {
    let buffer = this.#buffers.get(host);
    if (!buffer) {
      for (const other of this.#buffers.keys()) if (other.isClosed) this.#buffers.delete(other);
      buffer = new SessionBuffer(host, this.#isFlushedWhenHidden);
      this.#buffers.set(host, buffer);
    }
    this.#last = [host, buffer];
    return buffer;
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
function checkSessionOptions(options: EventSessionOptions): void {
  checkOptionNames("session", options, ["autoFlushMs", "autoFlushEvents"]);
  checkTimeout(options.autoFlushMs, "autoFlushMs");
  const { autoFlushEvents } = options;
  if (autoFlushEvents !== undefined && !(Number.isInteger(autoFlushEvents) && autoFlushEvents > 0))
    throw mustBe("autoFlushEvents", "an integer above 0", autoFlushEvents);
}

type Buffers = ReadonlyMap<unknown, { readonly staged: number }>;

let forgotten: FinalizationRegistry<Buffers> | undefined;

/**
 * Warns, except in production, of a session that was garbage-collected with staged events: nobody can flush them any
 * more. In pages they are flushed when the page is hidden.
 */
function warnIfForgotten(session: object, buffers: Buffers): void {
  if (typeof document !== "undefined" || isProduction() || typeof FinalizationRegistry !== "function") return;
  forgotten ??= new FinalizationRegistry((buffers) => {
    let staged = 0;
    for (const buffer of buffers.values()) staged += buffer.staged;
    if (staged > 0)
      warnOnce("a session with published events was forgotten before it was flushed; call await session.flush()");
  });
  forgotten.register(session, buffers);
}

function isProduction(): boolean {
  // Deno would ask its user for the permission to read the environment.
  if ("Deno" in globalThis) return false;
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  try {
    return process?.env?.["NODE_ENV"] === "production";
  } catch {
    return false;
  }
}
