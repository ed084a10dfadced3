/** Reports of flushes. */
import { unixNow } from "../platform/clock.js";
import { type DeadEvent, toDeadEvent } from "./dead-letters.js";
import { State } from "./segment-outcomes.js";
import type { TrackedSegment } from "./tracked-segment.js";
import type { Wire } from "./wire.js";

/** How far the events of one flush have got when the flush returned. */
export interface FlushReport {
  /** Ids of events that are stored or delivered. */
  readonly accepted: string[];
  /** Ids of events that the server has accepted. */
  readonly delivered: string[];
  /** Ids of events that are not delivered yet. */
  readonly pending: string[];
  /** Events that the server will never accept. */
  readonly dead: DeadEvent[];
  /** Whether the wait ended before the goal was reached, or the outbox was closed or purged. */
  readonly aborted: boolean;
}

/** Makes the report. `ids`: those of each segment, because a committed segment has none. */
export function report<E>(wire: Wire<E>, segments: TrackedSegment[], ids: string[][], aborted: boolean): FlushReport {
  const all: FlushReport = { accepted: [], delivered: [], pending: [], dead: [], aborted };
  segments.forEach((segment, at) => {
    const segmentIds = ids[at]!;
    const { isAccepted } = segment;
    // The common case of a flush that waits for the store only.
    if (segment.isUntouched) {
      all.pending.push(...segmentIds);
      if (isAccepted) all.accepted.push(...segmentIds);
      return;
    }
    // The common case of a flush that waits for the delivery.
    if (segment.isDelivered) {
      all.accepted.push(...segmentIds);
      all.delivered.push(...segmentIds);
      return;
    }
    segmentIds.forEach((id, index) => {
      const state = segment.stateOf(index, id);
      if (isAccepted || state !== State.Pending) all.accepted.push(id);
      if (state === State.Delivered) all.delivered.push(id);
      if (state === State.Pending) all.pending.push(id);
      if (state === State.Dead) all.dead.push(deadEventOf(wire, segment, index, id));
    });
  });
  return all;
}

function deadEventOf<E>(wire: Wire<E>, segment: TrackedSegment, index: number, id: string): DeadEvent {
  const { letter, error, attempts = 0 } = segment.deadInfoOf(index, id);
  if (letter) return toDeadEvent(wire, letter);
  return {
    id,
    text: "",
    at: new Date(unixNow()),
    code: error?.code ?? "ERR_INTERNAL",
    status: error?.status ?? 0,
    reason: error?.message ?? "",
    attempts,
    refusedAlone: true,
  };
}
