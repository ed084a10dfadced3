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
  /** Committed segments that a discarded engine had, and that may not be stored; those of a running commit. Oldest first. */
  #lost = new Set<TrackedSegment>();

  constructor(options: RecoveryOptions<E>) {
    this.#options = options;
  }

  /** Segments that no engine has at present. */
  get lost(): ReadonlySet<TrackedSegment> {
    return this.#lost;
  }

  /** A commit begins. If the engine traps or the script is terminated during it, the next engine gets the segments. */
  keep(segments: readonly TrackedSegment[]): void {
    for (const segment of segments) this.#lost.add(segment);
  }

  /** The engine has these segments. */
  release(segments: readonly TrackedSegment[]): void {
    for (const segment of segments) this.#lost.delete(segment);
  }

  /** The engine was discarded. */
  onReset(): void {
    const { segments, isStopped, restart } = this.#options;
    const generation = ++this.generation;
    this.#lost = new Set([...segments.reset(), ...this.#lost]);
    const use = () => {
      if (!isStopped() && generation === this.generation) restart();
    };
    startTimer(use, Math.min(RESTART_DELAY_MS * generation, MAX_RESTART_DELAY_MS));
  }

  /** There is a new engine. */
  onStart(port: OutboxPort, now: number): void {
    // If the engine traps again, the remaining segments are still in the set.
    for (const segment of this.#lost) {
      this.recommit(port, now, segment);
      this.#lost.delete(segment);
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
