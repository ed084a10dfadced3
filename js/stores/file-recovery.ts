/**
 * Reads the log of a file store, past damaged bytes. Internal.
 *
 * ```text
 *   in sequence ──damaged record, the next one starts where its length says──> in sequence
 *       │
 *       └──damaged bytes, a record is found behind them──> found, up to the end of the file
 * ```
 *
 * A record that is found has the right checksum, but nothing says that no other record is missing before it. So it may
 * add segments and dead letters, and must not remove any.
 */
import { announcedEnd, type Checksum, type Entry, lastEntryEnd, RECORD_HEAD, recordAt } from "./file-format.js";
import { HEADER_BYTES } from "./file-header.js";

/** An intact record. */
export interface LogRecord {
  readonly start: number;
  readonly end: number;
  readonly entries: readonly Entry[];
  /** Whether it was found behind damaged bytes. */
  readonly isFound: boolean;
}

/** A part of the file, in bytes. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What is wrong with a file. */
export interface LogDamage {
  /** Damaged bytes, in order. */
  readonly spans: readonly Span[];
  /** The end of the last intact record. */
  readonly end: number;
}

/** How often each byte may be checked while a record is looked for: bytes can be made to look like many records. */
const MAX_CHECKS_PER_BYTE = 64;

/** Reads a file with a header, and passes each intact record to `onRecord`, in order. */
export function readLog(bytes: Uint8Array, checksum: Checksum, onRecord: (record: LogRecord) => void): LogDamage {
  const spans: Span[] = [];
  const budget = { bytes: MAX_CHECKS_PER_BYTE * bytes.length };
  let isFound = false;
  let end = Math.min(HEADER_BYTES, bytes.length);
  while (end < bytes.length) {
    const record = recordAt(bytes, end, checksum);
    if (record) {
      onRecord({ start: end, ...record, isFound });
      end = record.end;
      continue;
    }
    const next = findRecord(bytes, end + 1, checksum, budget);
    if (next === undefined) break;
    isFound ||= next !== announcedEnd(bytes, end);
    spans.push({ from: end, to: next });
    end = next;
  }
  if (!isInterruptedWrite(bytes, end)) spans.push({ from: end, to: bytes.length });
  return { spans, end };
}

/** The start of the first intact record at or after `from`. */
function findRecord(
  bytes: Uint8Array,
  from: number,
  checksum: Checksum,
  budget: { bytes: number },
): number | undefined {
  for (let at = from; at + RECORD_HEAD < bytes.length; at++) {
    // Almost all positions fail here.
    if (bytes[at + RECORD_HEAD] === 0 || bytes[at + RECORD_HEAD + 1] !== 0) continue;
    const end = announcedEnd(bytes, at);
    if (end === undefined) continue;
    budget.bytes -= end - at;
    if (budget.bytes < 0) return undefined;
    if (recordAt(bytes, at, checksum)) return at;
  }
  return undefined;
}

/**
 * Whether the bytes from `from` on are what a write leaves that a crash has interrupted: nothing, zeros, or the first
 * part of a record. Such a change was never reported as written.
 */
function isInterruptedWrite(bytes: Uint8Array, from: number): boolean {
  const length = bytes.length - from;
  if (length <= RECORD_HEAD || bytes.subarray(from).every((byte) => byte === 0)) return true;
  if (announcedEnd(bytes, from) !== undefined) return false;
  const entriesEnd = lastEntryEnd(bytes, from + RECORD_HEAD, bytes.length);
  return entriesEnd !== undefined && entriesEnd > bytes.length;
}
