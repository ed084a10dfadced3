/** A part of a scanned batch: the places of its events in the scan. */
import type { Scan, ScanOptions } from "./batch-scanner.js";

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

/** The places of some elements in a list. Both are in ascending order. */
export function positionsOf(some: Uint32Array, all: Uint32Array): Uint32Array {
  let at = 0;
  return some.map((element) => {
    while (all[at] !== element) at++;
    return at;
  });
}
