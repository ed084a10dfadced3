/** The keys of signatures: HMAC secrets and Ed25519 keys, for WebCrypto. */
import type { Bytes } from "../../../platform/bytes.js";
import { FerryError } from "../../../engine/errors.js";
import { HIDDEN, invalidArgument, mustBe } from "../../../engine/messages.js";
import { isPage, isWorkerd, supportsAlgorithm, webCrypto } from "../../../platform/crypto.js";
import { warnOnce } from "../../../platform/warn.js";
import { asBytes, isBytes } from "../bytes.js";
import type { Claim } from "./signature.js";
import { TextEncoder } from "../../../platform/text.js";

/** A secret of HMAC: text, which stands for its bytes in UTF-8, or bytes. */
export type Secret = string | Uint8Array;

/** A key that checks signatures, and makes them if it is secret. */
export interface Key {
  verify(signature: Uint8Array, payload: Uint8Array): Promise<boolean>;
  /** Undefined: the key is public. */
  readonly sign?: (payload: Uint8Array) => Promise<Uint8Array>;
}

/** A delivery is checked with all keys, so their number is limited. */
const MAX_KEYS = 16;

/** Whether any signature is that of any key. */
export async function matches(keys: readonly Key[], { payload, signatures }: Claim): Promise<boolean> {
  for (const key of keys) for (const signature of signatures) if (await key.verify(signature, payload)) return true;
  return false;
}

/**
 * One value or a list of them, as a list.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` if it is empty or too long
 */
export function listOf<T>(name: string, given: T | readonly T[]): readonly T[] {
  const list: readonly T[] = Array.isArray(given) ? [...given] : [given as T];
  if (list.length === 0 || list.length > MAX_KEYS) throw mustBe(name, `one key or 1 to ${MAX_KEYS} of them`, HIDDEN);
  return list;
}

/**
 * The keys of one secret or several.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for what is no secret: the message does not show it
 */
export function hmacKeys(name: string, secrets: Secret | readonly Secret[], hash = "SHA-256"): readonly Key[] {
  return listOf(name, secrets).map((secret) => {
    const isText = typeof secret === "string";
    if (!(isText || isBytes(secret)) || secret.length === 0)
      throw mustBe(name, "a non-empty string or bytes", secret === undefined ? secret : HIDDEN);
    if (isText && secret.startsWith("whpk_"))
      throw invalidArgument(`${name} must not be a public key: everybody could sign with it`);
    return hmacKey(isText ? new TextEncoder().encode(secret) : asBytes(secret).slice(), hash);
  });
}

/** The key of a secret. */
export function hmacKey(secret: Bytes, hash = "SHA-256"): Key {
  const subtle = requireCrypto();
  warnInPage();
  const key = lazy(() => subtle.importKey("raw", secret, { name: "HMAC", hash }, false, ["sign", "verify"]));
  return {
    verify: async (signature, payload) => subtle.verify("HMAC", await key(), source(signature), source(payload)),
    sign: async (payload) => new Uint8Array(await subtle.sign("HMAC", await key(), source(payload))),
  };
}

/** @param bytes a public key of 32 bytes */
export function ed25519PublicKey(bytes: Bytes): Key {
  const subtle = requireEd25519();
  const key = ed25519(() => subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]));
  return {
    verify: async (signature, payload) => subtle.verify("Ed25519", await key(), source(signature), source(payload)),
  };
}

/** What is before a key of 32 bytes in PKCS #8 (RFC 8410, section 7). */
const PKCS8_HEAD = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/** @param bytes a private key of 32 bytes, or the same with its public key behind it */
export function ed25519PrivateKey(bytes: Uint8Array): Key {
  const subtle = requireEd25519();
  warnInPage();
  const pkcs8 = Uint8Array.from([...PKCS8_HEAD, ...bytes.subarray(0, 32)]);
  const key = ed25519(() => subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"]));
  const publicKey = lazy(async () => {
    const { kty, crv, x } = await subtle.exportKey("jwk", await key());
    return subtle.importKey("jwk", { kty: kty!, crv: crv!, x: x! }, "Ed25519", false, ["verify"]);
  });
  return {
    verify: async (signature, payload) =>
      subtle.verify("Ed25519", await publicKey(), source(signature), source(payload)),
    sign: async (payload) => new Uint8Array(await subtle.sign("Ed25519", await key(), source(payload))),
  };
}

/** A key that is imported when it is first used. Not a shared promise: Workers do not settle it for other requests. */
function lazy(load: () => Promise<CryptoKey>): () => Promise<CryptoKey> {
  let loaded: CryptoKey | undefined;
  return async () => (loaded ??= await load());
}

/** The same for a key that the runtime may not know. It is tried at once, so that the console shows it at the start. */
function ed25519(load: () => Promise<CryptoKey>): () => Promise<CryptoKey> {
  const key = lazy(async () => {
    try {
      return await load();
    } catch (cause) {
      throw (cause as Error)?.name === "NotSupportedError" ? withoutEd25519(cause) : cause;
    }
  });
  if (!isWorkerd()) key().catch((error: Error) => warnOnce(error.message));
  return key;
}

function requireCrypto(): SubtleCrypto {
  const subtle = webCrypto();
  if (!subtle) throw invalidArgument("signatures need WebCrypto, which this runtime does not have; pages need https");
  return subtle;
}

function requireEd25519(): SubtleCrypto {
  const subtle = requireCrypto();
  if (supportsAlgorithm("Ed25519") === false) throw withoutEd25519();
  return subtle;
}

function withoutEd25519(cause?: unknown): FerryError {
  const message =
    "this runtime has no Ed25519 in its WebCrypto; Node 20, Deno, Bun, Workers, Chrome 137, Firefox 129 and Safari 17 do";
  return new FerryError("ERR_INVALID_ARGUMENT", message, { cause });
}

/** Everybody who opens the page can read its secrets. */
function warnInPage(): void {
  if (isPage())
    warnOnce("a secret for signatures is in a page, where everybody can read it; sign and verify on a server");
}

/** The DOM types want to know that the bytes are not shared with other threads. */
function source(bytes: Uint8Array): Bytes {
  return bytes as Bytes;
}
