/**
 * SHA-256 without WebCrypto, which answers later, and not at all in pages that came over HTTP. For names of a few texts: the
 * constants are computed, and the code is short, not fast. A package for it would take 2.3 KB of each publisher and the
 * crate of Rust took 1.4, this takes 0.5.
 */
import { TextEncoder } from "./text.js";

/** The first 32 bits of the fractions of the cube roots of the first 64 primes, and of the square roots of the first 8. */
const CONSTANTS = new Uint32Array(64);
const INITIAL = new Uint32Array(8);

/** The SHA-256 digest of a text in UTF-8, as 64 characters of `0-9` and `a-f`. */
export function sha256(text: string): string {
  if (CONSTANTS[0] === 0) computeConstants();
  const bytes = new TextEncoder().encode(text);
  // The text, one bit, zeros, and the length in bits.
  const message = new DataView(new ArrayBuffer(((bytes.length + 72) >> 6) << 6));
  bytes.forEach((byte, at) => message.setUint8(at, byte));
  message.setUint8(bytes.length, 128);
  message.setUint32(message.byteLength - 8, bytes.length / 2 ** 29);
  message.setUint32(message.byteLength - 4, bytes.length << 3);
  const state = INITIAL.slice();
  for (let block = 0; block < message.byteLength; block += 64) addBlock(state, message, block);
  return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
}

function addBlock(state: Uint32Array, message: DataView, block: number): void {
  const words = new Uint32Array(64);
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let at = 0; at < 64; at++) {
    const [early, late] = [words[at - 15]!, words[at - 2]!];
    words[at] =
      at < 16
        ? message.getUint32(block + 4 * at)
        : words[at - 16]! + rotated(early, 7, 18, early >>> 3) + words[at - 7]! + rotated(late, 17, 19, late >>> 10);
    const first = h + rotated(e, 6, 11, rotation(e, 25)) + ((e & f) ^ (~e & g)) + CONSTANTS[at]! + words[at]!;
    const second = rotated(a, 2, 13, rotation(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => {
    state[at]! += word;
  });
}

/** Two rotations to the right and a third value, combined. */
function rotated(word: number, one: number, two: number, third: number): number {
  return (rotation(word, one) ^ rotation(word, two) ^ third) >>> 0;
}

function rotation(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function computeConstants(): void {
  for (let candidate = 2, count = 0; count < 64; candidate++) {
    let factor = 2;
    while (candidate % factor !== 0) factor++;
    if (factor < candidate) continue;
    INITIAL[count] = (Math.sqrt(candidate) % 1) * 2 ** 32;
    CONSTANTS[count++] = (Math.cbrt(candidate) % 1) * 2 ** 32;
  }
}
