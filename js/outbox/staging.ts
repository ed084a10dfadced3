/**
 * Events of sessions on their way to the machine: staged, then committed or rolled back.
 *
 * ```text
 *   session ──stage──> machine ──commit──> segments ──> machine and segment table
 *                         └────roll back──> gone
 * ```
 */
import { publish } from "../engine/modules/publish.js";
import { FerryError } from "../engine/errors.js";
import { OUTBOX_INPUTS, type OutboxPort, OUTBOX_LIST_INPUTS } from "../engine/ports.js";
import { unixNow } from "../platform/clock.js";
import { contentsList, type Numbers } from "./contents-list.js";
import { type Credit, MAX_CREDIT_BYTES, NO_CREDIT } from "./credit.js";
import type { Expiry } from "./expiry.js";
import type { Keys } from "./keys.js";
import type { OutboxMachine } from "./machine.js";
import { orderingKeyOf } from "./ordering-key.js";
import { outboxClosed } from "./outbox-closed.js";
import type { Recovery } from "./recovery.js";
import type { SegmentTable } from "./segment-table.js";
import type { Sender } from "./sender.js";
import type { SessionHost } from "./session.js";
import type { SessionBuffer } from "./session-buffer.js";
import type { SegmentOrigin, TrackedSegment } from "./tracked-segment.js";
import { maxGroupedEvents, type Wire } from "./wire.js";

const NO_NUMBERS = new Float64Array();

export interface StagingOptions<E> {
  wire: Wire<E>;
  /** See the option of the outbox. */
  maxBytes: number;
  machine: OutboxMachine;
  segments: SegmentTable<E>;
  keys: Keys;
  expiry: Expiry<E>;
  sender: Sender<E>;
  recovery: Recovery<E>;
  /** Opens the store. */
  open(): void;
}

export class Staging<E> implements SessionHost<E> {
  readonly wire: Wire<E>;
  /** Whether it takes no more events. */
  isClosed = false;
  readonly stagingBuffers: Set<SessionBuffer<E>> = new Set();
  readonly #options: StagingOptions<E>;
  readonly #machine: OutboxMachine;
  /** The buffer that has credit. */
  #creditHolder: SessionBuffer<E> | undefined;
  #sessionCount = 0;

  constructor(options: StagingOptions<E>) {
    this.#options = options;
    this.#machine = options.machine;
    this.wire = options.wire;
  }

  get engineGeneration(): number {
    return this.#options.recovery.generation;
  }

  newSessionId(): number {
    return ++this.#sessionCount;
  }

  stage(session: number, size: number, key: string | undefined): number {
    if (this.isClosed) throw outboxClosed();
    const { port } = this.#machine;
    try {
      return port.input(OUTBOX_INPUTS.stage, 0, session, size, key === undefined ? 0 : orderingKeyOf(key));
    } catch (error) {
      throw publish.trapped(error);
    }
  }

  credit(session: number): Credit {
    try {
      const credit = this.#machine.query((port) => port.input(OUTBOX_INPUTS.credit, 0, session, MAX_CREDIT_BYTES));
      return { bytes: (credit % 2 ** 32) | 0, events: (credit / 2 ** 32) | 0 };
    } catch {
      return NO_CREDIT;
    }
  }

  grantCredit(buffer: SessionBuffer<E>): void {
    this.returnCredit();
    this.#creditHolder = buffer;
  }

  /** Tells the machine what was staged on credit. */
  returnCredit(): void {
    this.#creditHolder?.returnCredit();
  }

  stageMany(session: number, generation: number, sizes: Numbers, orderingKeys: Numbers): void {
    if (generation !== this.engineGeneration || this.isClosed) return;
    try {
      const list = contentsList(0, sizes, orderingKeys);
      this.#machine.query((port) => port.input_list(OUTBOX_LIST_INPUTS.stageMany, 0, session, 0, list));
    } catch {
      // The engine trapped and forgot the session. The commit tells the next engine all of it.
    }
  }

  keep(origin: SegmentOrigin, segments: TrackedSegment[]): void {
    if (this.isClosed) return;
    const { keys, recovery } = this.#options;
    const at = unixNow();
    for (const segment of segments) {
      // Those of a commit that was terminated may be saved under their keys.
      if (!recovery.lost.has(segment)) Object.assign(segment, { at, key: keys.next(at), origin });
    }
    recovery.keep(segments);
  }

  commit(origin: SegmentOrigin, segments: TrackedSegment[]): void {
    if (segments.length === 0) return;
    if (this.isClosed) {
      for (const segment of segments) segment.abandon(outboxClosed());
      throw outboxClosed();
    }
    const { wire, open } = this.#options;
    open();
    const eventCount = segments.reduce((sum, { count }) => sum + count, 0);
    if (wire.onCommit)
      for (const segment of segments)
        for (const text of segment.texts(0, segment.count)) wire.onCommit(text, eventCount);
    try {
      this.#machine.send((port, now) => this.#commit(port, now, origin, segments));
    } catch {
      // The engine trapped. The next one gets the segments.
    }
  }

  rollBack(session: number): void {
    if (!this.isClosed) this.#machine.send((port, now) => port.input(OUTBOX_INPUTS.rollBack, now, session));
  }

  queueFull(): FerryError {
    this.returnCredit();
    const { bytes } = this.#machine.counters();
    return new FerryError("ERR_QUEUE_FULL", `the outbox is full: it holds ${bytes} of ${this.#options.maxBytes} bytes`);
  }

  /** Sends ready events without waiting for others. */
  flushNow(): void {
    this.#options.open();
    this.#machine.send((port, now) => port.input(OUTBOX_INPUTS.flushNow, now));
  }

  /** The store did not open. The events that wait for it are staged again. */
  restage(error: FerryError): void {
    const { segments } = this.#options;
    const byOrigin = new Map<SegmentOrigin, TrackedSegment[]>();
    for (const segment of segments.known())
      if (segment.origin) byOrigin.set(segment.origin, [...(byOrigin.get(segment.origin) ?? []), segment]);
    for (const [origin, waiting] of byOrigin) {
      const handles = Float64Array.from(waiting, ({ handle }) => handle);
      const staged = new Set(
        this.#machine.send((port, now) => port.input_list(OUTBOX_LIST_INPUTS.uncommit, now, origin.id, 0, handles)),
      );
      const restaged = waiting.filter(({ handle }) => staged.has(handle));
      for (const segment of restaged) {
        segment.ids = segments.ids(segment, 0, segment.count);
        segments.remove(segment);
      }
      origin.restage(restaged);
      for (const segment of restaged) segment.failStore(error);
    }
  }

  /** Drops all staged events. Their receipts reject with the error. Returns how many there were. */
  rollBackAll(error: FerryError): number {
    let staged = 0;
    for (const buffer of [...this.stagingBuffers]) staged += buffer.rollback(error).length;
    return staged;
  }

  #commit(port: OutboxPort, now: number, origin: SegmentOrigin, segments: TrackedSegment[]): void {
    const { wire, segments: table, expiry, sender, recovery } = this.#options;
    // Events that were staged in a discarded engine are unknown to the present one.
    const isKnown = ({ generation }: TrackedSegment) => generation === this.engineGeneration;
    // An engine that was started for this commit has the segments already.
    const missing = segments.filter((segment) => recovery.lost.has(segment));
    const known = missing.filter(isKnown);
    for (const segment of missing) if (!isKnown(segment)) recovery.recommit(port, now, segment);
    const [{ body, sizes }] = segments as [TrackedSegment];
    const maxGrouped = maxGroupedEvents(wire, body!, sizes);
    const handles = port.input_list(OUTBOX_LIST_INPUTS.commit, now, origin.id, maxGrouped, NO_NUMBERS);
    known.forEach((segment, index) => {
      table.add(segment, handles[index]!);
      expiry.tellTimes(port, now, segment);
    });
    recovery.release(missing);
    for (const segment of segments) sender.compressSegment(segment);
  }
}
