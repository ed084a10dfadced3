/** What waits in an outbox, as applications see it. */
import type { FerryError } from "../engine/errors.js";
import { unixNow } from "../platform/clock.js";
import type { Segment } from "../stores/store.js";
import { State } from "./segment-outcomes.js";
import { TrackedSegment } from "./tracked-segment.js";
import type { Wire } from "./wire.js";
import { TextDecoder } from "../platform/text.js";

/** An accepted event that is still to be delivered. */
export interface PendingEvent {
  /** The id of the event. */
  readonly id: string;
  /** JSON text of the event. */
  readonly text: string;
  /** When it was committed. */
  readonly at: Date;
  /** How long it has been waiting, in milliseconds; 0 if the clock was set back. */
  readonly ageMs: number;
  /** Why the last request of the outbox failed; undefined if it did not. */
  readonly lastError: FerryError | undefined;
}

/** The pending events of stored segments, and of those that are known here and not stored, the oldest first. */
export function pendingEvents<E>(
  wire: Wire<E>,
  stored: readonly Segment[],
  known: readonly TrackedSegment[],
  lastError: FerryError | undefined,
): PendingEvent[] {
  const byKey = new Map(known.map((segment) => [segment.key, segment]));
  const all = stored.map((row) => byKey.get(row.key) ?? Object.assign(new TrackedSegment(), row));
  const unstored = known.filter(({ key }) => !stored.some((row) => row.key === key));
  const now = unixNow();
  return [...all, ...unstored].flatMap((segment) =>
    segment.texts(0, segment.count).flatMap((text, index): PendingEvent[] => {
      const id = wire.idOf(text);
      if (segment.stateOf(index, id) !== State.Pending) return [];
      return [
        {
          id,
          text: wire.textOf?.(text) ?? new TextDecoder().decode(text),
          at: new Date(segment.at),
          ageMs: Math.max(0, now - segment.at),
          lastError,
        },
      ];
    }),
  );
}
