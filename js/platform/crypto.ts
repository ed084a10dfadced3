/** WebCrypto: the source of signatures, and of digests that may come later. See `sha256.ts` for those that may not. */
import { type Bytes, concat } from "./bytes.js";
import { TextEncoder } from "./text.js";

/** Undefined where there is none: in pages without https. */
export function webCrypto(): SubtleCrypto | undefined {
  return (globalThis as { crypto?: Crypto }).crypto?.subtle;
}

/**
 * Whether WebCrypto can check signatures of this algorithm, where a runtime tells; otherwise undefined, and only a try
 * shows it.
 */
export function supportsAlgorithm(algorithm: string): boolean | undefined {
  const { SubtleCrypto } = globalThis as {
    SubtleCrypto?: { supports?: (operation: string, algorithm: string) => boolean };
  };
  return SubtleCrypto?.supports?.("verify", algorithm);
}

/** The SHA-256 digest of a text in UTF-8, as 64 characters of `0-9` and `a-f`. */
export async function sha256(text: string): Promise<string> {
  const digest = await webCrypto()!.digest("SHA-256", new TextEncoder().encode(text));
  let hex = "";
  for (const byte of new Uint8Array(digest)) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

/** A text in UTF-8 and the bytes behind it. */
export function utf8Before(text: string, bytes: Uint8Array): Bytes {
  return concat([new TextEncoder().encode(text), bytes]);
}

/** Whether code runs in a page, where everybody can read it. */
export function isPage(): boolean {
  return typeof document !== "undefined";
}

/** Whether this is Cloudflare Workers, where nothing may start before the first request. */
export function isWorkerd(): boolean {
  return "WebSocketPair" in globalThis;
}
