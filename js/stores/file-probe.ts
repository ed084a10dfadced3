/** Bytes that must be in the file of a file store: they tell whether somebody has truncated it. Internal. */

/** Bytes and their position in the file. */
export interface Probe {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** The length of a new probe. */
export const PROBE_BYTES = 16;
/** How long a probe may become. */
export const MAX_PROBE_BYTES = 4096;

/** A probe that any file has. */
export const NO_PROBE: Probe = { at: 0, bytes: new Uint8Array(0) };

/** A probe of bytes that were written up to `end`. */
export function probeOf(written: Uint8Array, end: number): Probe {
  const bytes = written.slice(-PROBE_BYTES);
  return { at: end - bytes.length, bytes };
}

/**
 * A probe and the bytes that were written behind it. Without the first one it would not tell of what was truncated before
 * these bytes were written.
 */
export function extended({ at, bytes }: Probe, written: Uint8Array): Probe {
  const all = new Uint8Array(bytes.length + written.length);
  all.set(bytes);
  all.set(written, bytes.length);
  return { at, bytes: all };
}
