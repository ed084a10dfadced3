/** Messages between outboxes that share a store, in several tabs. */
import type { FerryErrorCode } from "../engine/errors.js";

export interface TabMessage {
  /** The sender has stored segments. */
  isNew?: true;
  /** Bytes of the dead letters that the sender has removed. */
  deadBytes?: number;
  /** Events of the segment with this key were settled: those with `ids`, or all. With `code` they are dead. */
  key?: string;
  ids?: string[];
  /** Bytes of the events with these ids. */
  bytes?: number;
  status?: number;
  attempts?: number;
  code?: FerryErrorCode;
  message?: string;
}
