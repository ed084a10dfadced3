/**
 * Fresh UUIDs, version 4 (RFC 9562, section 5.4). Not `crypto.randomUUID`: pages without https have none, and Node makes its texts of
 * so many pieces that whoever writes them down pays for it again. This takes a third of the time with that.
 */

/** Drawn at once, because every draw is a call to the system. */
const DRAWN_BYTES = 4096;
/** At module scope of an edge runtime nothing is random, so the first draw waits for the first id. */
let drawn: Uint8Array<ArrayBuffer> | undefined;
let at = DRAWN_BYTES;

/** The character of each half of a byte. */
const HIGH = Uint8Array.from({ length: 256 }, (_, byte) => "0123456789abcdef".charCodeAt(byte >> 4));
const LOW = Uint8Array.from({ length: 256 }, (_, byte) => "0123456789abcdef".charCodeAt(byte & 15));
const DASH = 0x2d;

/** A fresh UUID. */
export function freshId(): string {
  if (at === DRAWN_BYTES) {
    drawn = crypto.getRandomValues(drawn ?? new Uint8Array(DRAWN_BYTES));
    at = 0;
  }
  const b = drawn!;
  const o = at;
  at += 16;
  const version = (b[o + 6]! & 0x0f) | 0x40;
  const variant = (b[o + 8]! & 0x3f) | 0x80;
  return String.fromCharCode(
    HIGH[b[o]!]!,
    LOW[b[o]!]!,
    HIGH[b[o + 1]!]!,
    LOW[b[o + 1]!]!,
    HIGH[b[o + 2]!]!,
    LOW[b[o + 2]!]!,
    HIGH[b[o + 3]!]!,
    LOW[b[o + 3]!]!,
    DASH,
    HIGH[b[o + 4]!]!,
    LOW[b[o + 4]!]!,
    HIGH[b[o + 5]!]!,
    LOW[b[o + 5]!]!,
    DASH,
    HIGH[version]!,
    LOW[version]!,
    HIGH[b[o + 7]!]!,
    LOW[b[o + 7]!]!,
    DASH,
    HIGH[variant]!,
    LOW[variant]!,
    HIGH[b[o + 9]!]!,
    LOW[b[o + 9]!]!,
    DASH,
    HIGH[b[o + 10]!]!,
    LOW[b[o + 10]!]!,
    HIGH[b[o + 11]!]!,
    LOW[b[o + 11]!]!,
    HIGH[b[o + 12]!]!,
    LOW[b[o + 12]!]!,
    HIGH[b[o + 13]!]!,
    LOW[b[o + 13]!]!,
    HIGH[b[o + 14]!]!,
    LOW[b[o + 14]!]!,
    HIGH[b[o + 15]!]!,
    LOW[b[o + 15]!]!,
  );
}
