/** What chooses events: a `Filter`, or a function. */
import { mustBe } from "../../engine/messages.js";
import type { CloudEvent } from "./event.js";

/** Chooses events of a batch by the offsets in the memory of the scanner: a `Filter`. */
export interface EventSelector {
  /**
   * The indices that the filter keeps.
   *
   * @param indices events of a scanned batch, by their place in the scan; or a number: so many from the first one on
   * @param ensureScanned brings the batch back into the memory of the scanner, if another one was scanned since
   * @internal
   */
  selectEvents?(indices: Uint32Array | number, ensureScanned: () => void): Uint32Array;
  /** No code of the user runs while it chooses. @internal */
  readonly runsNoUserCode?: boolean;
}

/** A `Filter`, or a function that returns true for the events that are kept. */
export type EventPredicate =
  | ((event: CloudEvent) => boolean)
  | ({
      /** Whether the event is kept. */
      matches(event: CloudEvent): boolean;
    } & EventSelector);

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for another value. */
export function checkPredicate(predicate: unknown): void {
  if (
    typeof predicate !== "function" &&
    typeof (predicate as { matches?: unknown } | undefined)?.matches !== "function"
  )
    throw mustBe("filter", "a Filter, a function or an object with a function matches", predicate);
}
