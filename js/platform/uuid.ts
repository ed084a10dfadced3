/**
 * UUIDs of version 4 (RFC 9562, section 5.4). Not `crypto.randomUUID`: pages without https do not have it, and in Node
 * its strings consist of so many parts that writing them takes three times as long as with these.
 */

/** Bytes drawn together, because each draw is a system call. */
const POOL_BYTES = 4096;
/** Filled for the first id: at module scope, edge runtimes have no randomness. */
let pool: Uint8Array<ArrayBuffer> | undefined;
let position = POOL_BYTES;

/** The hexadecimal digits of each byte, as character codes. */
const HIGH = /* @__PURE__ */ Uint8Array.from({ length: 256 }, (_, byte) => "0123456789abcdef".charCodeAt(byte >> 4));
const LOW = /* @__PURE__ */ Uint8Array.from({ length: 256 }, (_, byte) => "0123456789abcdef".charCodeAt(byte & 15));
const DASH = 0x2d;

/** A new random UUID. */
export function freshId(): string {
  if (position === POOL_BYTES) {
    pool = crypto.getRandomValues(pool ?? new Uint8Array(POOL_BYTES));
    position = 0;
  }
  const b = pool!;
  const o = position;
  position += 16;
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
