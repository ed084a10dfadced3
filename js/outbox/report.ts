/** What a flush reports. */
import { type DeadEvent, deadEvent } from "./dead-letters.js";
import { type TrackedSegment, State } from "./tracked-segment.js";
import type { Wire } from "./wire.js";
import { unixNow } from "../platform/clock.js";

/** What became of the events of one flush, up to the moment at which that was over. */
export interface FlushReport {
  /** Ids of those that are stored or delivered. */
  readonly accepted: string[];
  readonly delivered: string[];
  /** Ids of those that are not delivered yet. */
  readonly pending: string[];
  /** Those that the server will never take. */
  readonly dead: DeadEvent[];
  /** Whether the waiting ended before the goal, or the outbox was closed or purged. */
  readonly aborted: boolean;
}

/** How far the events of these packets have got, whose ids are given: a packet that was committed has none any more. */
export function report<E>(wire: Wire<E>, packets: TrackedSegment[], ids: string[][], aborted: boolean): FlushReport {
  const all: FlushReport = { accepted: [], delivered: [], pending: [], dead: [], aborted };
  packets.forEach((packet, at) => {
    const mine = ids[at]!;
    const { isAccepted } = packet;
    // Nearly always, where a flush waits for the store alone.
    if (packet.isUntouched) {
      all.pending.push(...mine);
      if (isAccepted) all.accepted.push(...mine);
      return;
    }
    mine.forEach((id, index) => {
      const state = packet.stateOf(index, id);
      if (isAccepted || state !== State.Pending) all.accepted.push(id);
      if (state === State.Delivered) all.delivered.push(id);
      if (state === State.Pending) all.pending.push(id);
      if (state === State.Dead) all.dead.push(deathOf(wire, packet, index, id));
    });
  });
  return all;
}

function deathOf<E>(wire: Wire<E>, packet: TrackedSegment, index: number, id: string): DeadEvent {
  const { letter, problem, attempts = 0 } = packet.deathOf(index, id);
  if (letter) return deadEvent(wire, letter);
  return {
    id,
    text: "",
    at: new Date(unixNow()),
    code: problem?.code ?? "ERR_INTERNAL",
    status: problem?.status ?? 0,
    reason: problem?.message ?? "",
    attempts,
  };
}
