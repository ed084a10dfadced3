/** Bytes that must be in the file of a file store: they tell whether somebody has truncated it. Internal. */

/** Bytes and their position in the file. */
export interface Probe {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** The length of a probe. */
export const PROBE_BYTES = 16;

/** A probe that any file has. */
export const NO_PROBE: Probe = { at: 0, bytes: new Uint8Array(0) };

/** A probe of bytes that were written up to `end`. */
export function probeOf(written: Uint8Array, end: number): Probe {
  const bytes = written.slice(-PROBE_BYTES);
  return { at: end - bytes.length, bytes };
}
