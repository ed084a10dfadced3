/** When events expire by an attribute of their own, and by which clock: what the machine (`src/outbox/expiry.rs`) has to know. */
import { OUTBOX_INPUTS, OUTBOX_LIST_INPUTS, type OutboxPort } from "../engine/ports.js";
import { monotonicNow, unixNow } from "../platform/clock.js";
import { readHttpDate } from "../platform/http-date.js";
import type { TrackedSegment } from "./tracked-segment.js";
import type { Wire } from "./wire.js";

const DATE = "date";

export class Expiry<E> {
  readonly #wire: Wire<E>;
  /** Whether the machine has been told of an event that expires. */
  #isNeeded = false;
  /** The `Date` of the last answer, in Unix milliseconds, and when it came. NaN if that had none that can be read. */
  #date = Number.NaN;
  #dateAt = 0;

  constructor(wire: Wire<E>) {
    this.#wire = wire;
  }

  /** The headers of an answer that tell the clock of the destination. Undefined if no event ever expires. */
  get responseHeaders(): string | undefined {
    return this.#wire.expiryTimes && DATE;
  }

  /** An answer has come with these lines of headers. */
  noteAnswer(headers: string): void {
    if (headers === "") return;
    this.#date = readHttpDate(headers.slice(DATE.length + 2).trimEnd());
    this.#dateAt = monotonicNow();
  }

  /** Tells the machine the time, if it may need it. */
  tellTime(port: OutboxPort, now: number): void {
    if (!this.#isNeeded) return;
    if (this.#date >= 0) port.input(OUTBOX_INPUTS.setWallClock, this.#dateAt, this.#date, true);
    else port.input(OUTBOX_INPUTS.setWallClock, now, unixNow(), false);
  }

  /** Tells the machine when the events of a segment that it has expire, if any does. */
  tellTimes(port: OutboxPort, now: number, segment: TrackedSegment): void {
    if (!segment.mayExpire) return;
    const times = this.#wire.expiryTimes?.(segment.body!, () => segment.texts(0, segment.count));
    segment.mayExpire = times !== undefined;
    if (!times) return;
    this.#isNeeded = true;
    this.tellTime(port, now);
    const { handle, isReplayed } = segment;
    port.input_list(OUTBOX_LIST_INPUTS.setExpiryTimes, now, handle, isReplayed, Float64Array.from(times));
  }
}
