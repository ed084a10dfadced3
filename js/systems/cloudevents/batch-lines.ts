/** The lines of NDJSON that are not valid events: those that are between the rows of the valid ones. */
import { TextDecoder } from "../../platform/text.js";
import { splitLines } from "./json-split.js";
import { EVENT_END, EVENT_START, ROW_WORDS } from "./table.js";

/** A line that is not a valid event. */
export interface InvalidLine {
  readonly start: number;
  readonly end: number;
  /** Its index among all lines that are not empty. */
  readonly index: number;
}

/**
 * The lines without a row. `undefined` if one of them starts with a byte order mark, behind which may be an event.
 *
 * @param firstIndex the index of the first line
 */
export function invalidLines(
  source: string | Uint8Array,
  rows: Uint32Array,
  firstIndex: number,
): InvalidLine[] | undefined {
  const lines: InvalidLine[] = [];
  let index = firstIndex;
  let from = 0;
  for (let at = 0; at <= rows.length; at += ROW_WORDS, index++) {
    const to = at < rows.length ? rows[at + EVENT_START]! : source.length;
    // Between two valid lines is most often one line break; before the first and behind the last one there may be none.
    if (to - from > 1 || rows.length === 0) {
      const gap = source.slice(from, to);
      // In ISO-8859-1 each byte is one character, so positions in this text are positions of bytes.
      const text = typeof gap === "string" ? gap : new TextDecoder("latin1").decode(gap);
      for (const [start, end] of splitLines(text)) {
        if (text.startsWith(LATIN1_BYTE_ORDER_MARK, start)) return undefined;
        lines.push({ start: from + start, end: from + end, index: index++ });
      }
    }
    from = rows[at + EVENT_END]!;
  }
  return lines;
}

const LATIN1_BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf";
