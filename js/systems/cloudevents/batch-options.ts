/** The options of a batch: its format, what is checked, which events are kept, and what happens with invalid ones. */
import type { FerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import type { EventPredicate } from "./event-selector.js";
import type { LenientOptions } from "./lenient.js";

/** The formats of a batch: a JSON array, or one event per line. */
export type BatchFormat = "batch" | "ndjson";

/**
 * `"full"` checks everything. `"structure"` skips arrays and objects by their quotes and brackets, about twice as fast, for
 * bytes that were checked before, or that you wrote yourself: `data` that is not JSON is then rejected when its event is
 * read, or not at all. Attributes are checked all the same. Such bytes are not copied: do not change them while the batch,
 * or one that was filtered from it, is in use, because its events are cut from them without another check. Before the first
 * `Filter` was made, as much is checked as with `"full"`.
 */
export type BatchCheck = "full" | "structure";

/**
 * `"reject"` rejects the whole batch because of one invalid event, `"skip"` leaves such events out. A function is called
 * for each of them, with the error, the text of the event, and its index; they are left out as well.
 */
export type OnInvalid = "reject" | "skip" | ((error: FerryError, raw: string, index: number) => void);

/** An event that was left out of a batch. */
export interface RejectedEvent {
  /** The index of the event in the batch as it arrived, from 0. In NDJSON empty lines do not count. */
  readonly index: number;
  /** Why it is not valid. */
  readonly error: FerryError;
  /** The event as it arrived. */
  readonly text: string;
}

/** How strictly a batch is read. */
export interface BatchOptions extends LenientOptions {
  /**
   * What happens with invalid events. A batch that is not an array, or in which the events cannot be told apart, is always
   * rejected. @default "reject"
   */
  onInvalid?: OnInvalid | undefined;
}

/** How a batch is read. */
export interface BatchParseOptions extends BatchOptions {
  /** `"batch"` is a JSON array, `"ndjson"` is one event per line. @default "batch" */
  format?: BatchFormat | undefined;
  /** What is checked. `"structure"` is for trusted bytes. @default "full" */
  check?: BatchCheck | undefined;
  /**
   * Which events are kept, as with `batch.filter`; all are checked. Of bytes only those that a `Filter` keeps are copied, so
   * this takes less time and memory than to filter the batch. @default all
   */
  filter?: EventPredicate | undefined;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for another value. */
export function checkFormat(format: unknown): void {
  if (format !== "batch" && format !== "ndjson") throw mustBe("format", '"batch" or "ndjson"', format);
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for another value. */
export function checkCheck(check: unknown): void {
  if (check !== "full" && check !== "structure") throw mustBe("check", '"full" or "structure"', check);
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for another value. */
export function checkOnInvalid({ onInvalid = "reject" }: BatchOptions): OnInvalid {
  if (onInvalid !== "reject" && onInvalid !== "skip" && typeof onInvalid !== "function")
    throw mustBe("onInvalid", '"reject", "skip" or a function', onInvalid);
  return onInvalid;
}
