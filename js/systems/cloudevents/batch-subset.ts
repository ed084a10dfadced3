/** A part of a scanned batch: its rows, and the places of its events in the scan. */
import type { Scan, ScanOptions } from "./batch-scanner.js";
import { ROW_WORDS } from "./table.js";

/** How a batch was scanned. */
export interface Scanned {
  scan: Scan;
  readonly options: ScanOptions;
  /** The places of the events in the scan. `undefined`: all of them. */
  readonly indices: Uint32Array | undefined;
}

/** A part of what was scanned. */
export function subsetOf({ scan, options, indices }: Scanned, places: ArrayLike<number>): Scanned {
  return { scan, options, indices: Uint32Array.from(places, (place) => (indices ? indices[place]! : place)) };
}

/** The rows at these places. Those that stand side by side are copied together. */
export function rowsAt(rows: Uint32Array, places: ArrayLike<number>): Uint32Array {
  const some = new Uint32Array(places.length * ROW_WORDS);
  for (let at = 0, end = 0; at < places.length; at = end) {
    const first = places[at]!;
    for (end = at + 1; places[end] === first + end - at; ) end++;
    some.set(rows.subarray(ROW_WORDS * first, ROW_WORDS * (first + end - at)), ROW_WORDS * at);
  }
  return some;
}

/** The places of some elements in a list. Both are in ascending order. */
export function positionsOf(some: Uint32Array, all: Uint32Array): Uint32Array {
  let at = 0;
  return some.map((element) => {
    while (all[at] !== element) at++;
    return at;
  });
}
