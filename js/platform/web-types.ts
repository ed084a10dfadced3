/**
 * Types of the web platform for the declarations of the package. Only `lib.dom.d.ts` declares all of them globally: the
 * types of Node, Workers and Bun leave some out. They are derived from what all of these declare. Code imports them under
 * the names of the platform.
 */

/** Headers in any form that the constructor of `Headers` takes. */
export type HeadersInit = NonNullable<ConstructorParameters<typeof Headers>[0]>;

/** Whether a request of a browser carries cookies. */
export type RequestCredentials = "omit" | "same-origin" | "include";

/** How a request of a browser treats other origins. */
export type RequestMode = "cors" | "navigate" | "no-cors" | "same-origin";

/** Bytes. */
export type BufferSource = ArrayBuffer | ArrayBufferView;

/** A key of WebCrypto. */
export type CryptoKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** A compiled WebAssembly module. */
export type WasmModule = typeof globalThis extends { WebAssembly: { Module: { prototype: infer M } } } ? M : object;

/** What `addEventListener` of the platform takes as a listener. */
export type EventListenerOrEventListenerObject = Parameters<EventTarget["addEventListener"]>[1];

/** What `addEventListener` of the platform takes as options. */
export type AddEventListenerOptions = Exclude<Parameters<EventTarget["addEventListener"]>[2], boolean | undefined>;

/** A public RSA key as JSON Web Key, as far as verifying a signature needs it. */
export interface JsonWebKey {
  /** Kind of the key, `RSA`. */
  kty?: string;
  /** The modulus, in Base64url. */
  n?: string;
  /** The exponent, in Base64url. */
  e?: string;
  /** The algorithm, `RS256`. */
  alg?: string;
  /** Whether JavaScript may export the key. */
  ext?: boolean;
  /** What the key may be used for: `verify`. */
  key_ops?: string[];
}
