/**
 * What happens after a trap of the engine. The next engine finds the stored segments in the store, and the others are
 * committed to it again.
 */
import { OUTBOX_LIST_INPUTS, type OutboxPort } from "../engine/ports.js";
import { startTimer } from "../platform/clock.js";
import { contentsList } from "./contents-list.js";
import type { Expiry } from "./expiry.js";
import type { SegmentTable } from "./segment-table.js";
import type { TrackedSegment } from "./tracked-segment.js";
import { maxGroupedEvents, type Wire } from "./wire.js";

export interface RecoveryOptions<E> {
  wire: Wire<E>;
  segments: SegmentTable<E>;
  expiry: Expiry<E>;
  isStopped(): boolean;
  /** Uses the next engine: without it, pending events would wait for the next call. */
  restart(): void;
}

/** The delay before the n-th engine is used grows with n, in case every engine traps. */
const RESTART_DELAY_MS = 10;
const MAX_RESTART_DELAY_MS = 1000;

export class Recovery<E> {
  /** How many engines were discarded. */
  generation = 0;
  readonly #options: RecoveryOptions<E>;
  /** Committed segments that a discarded engine had, and that may not be stored. */
  #lost: TrackedSegment[] = [];

  constructor(options: RecoveryOptions<E>) {
    this.#options = options;
  }

  /** Segments that no engine has at present. */
  get lost(): readonly TrackedSegment[] {
    return this.#lost;
  }

  /** The engine trapped during a commit. The next one gets the segments. */
  keep(segments: readonly TrackedSegment[]): void {
    this.#lost = [...new Set([...this.#lost, ...segments])];
  }

  /** The engine was discarded. */
  onReset(): void {
    const { segments, isStopped, restart } = this.#options;
    const generation = ++this.generation;
    this.#lost.push(...segments.reset());
    const use = () => {
      if (!isStopped() && generation === this.generation) restart();
    };
    startTimer(use, Math.min(RESTART_DELAY_MS * generation, MAX_RESTART_DELAY_MS));
  }

  /** There is a new engine. */
  onStart(port: OutboxPort, now: number): void {
    // If the engine traps again, the remaining segments are still in the list.
    while (this.#lost.length > 0) {
      this.recommit(port, now, this.#lost[0]!);
      this.#lost.shift();
    }
  }

  /** Commits a segment that another engine had. */
  recommit(port: OutboxPort, now: number, segment: TrackedSegment): void {
    const { wire, segments, expiry } = this.#options;
    const { body, sizes, orderingKeys } = segment;
    const list = contentsList(maxGroupedEvents(wire, body!, sizes), sizes, orderingKeys);
    const [handle] = port.input_list(OUTBOX_LIST_INPUTS.recommit, now, 0, 0, list);
    segments.add(segment, handle!);
    expiry.tellTimes(port, now, segment);
  }
}
