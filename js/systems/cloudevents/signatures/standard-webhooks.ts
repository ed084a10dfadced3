/** Standard Webhooks 1.0 (https://www.standardwebhooks.com), verified and signed. */
import { HIDDEN, mustBe } from "../../../engine/messages.js";
import { unixNow } from "../../../platform/clock.js";
import { utf8Before } from "../../../platform/crypto.js";
import { toBase64 } from "../bytes.js";
import { decodeBase64 } from "./base64.js";
import { ed25519PrivateKey, ed25519PublicKey, hmacKey, type Key, listOf, matches } from "./keys.js";
import {
  checkedTolerance,
  checkTimestamp,
  MAX_SIGNATURES,
  refusal,
  requiredHeader,
  type Signer,
  type ToleranceOptions,
  type Verifier,
} from "./signature.js";

/** How signatures are made: HMAC-SHA256, or Ed25519. Signatures of other versions are ignored. */
type Version = "v1" | "v1a";
/** A key, and the only version of signatures that it is for: a public key must not serve as a secret. */
interface VersionedKey {
  readonly version: Version;
  readonly key: Key;
}

/** The bytes of a signature. */
const SIZES: Record<Version, number> = { v1: 32, v1a: 64 };
const FORMS = '"whsec_", "whsk_" or "whpk_" and Base64';

/**
 * Verifies and signs by Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`, or the same with
 * `svix-`. Also for the many services that use Svix.
 *
 * @param keys one key or several, while they are changed: `whsec_` and a secret (24 to 64 bytes in Base64) for
 * signatures of version `v1`; `whsk_` and a private, or `whpk_` and a public key of Ed25519 for version `v1a`. A
 * delivery is genuine if any of them made any of its signatures. All but public keys also sign.
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for another text, which the message does not show; and for a key of
 * Ed25519 where the runtime says that it has none
 */
export function standardWebhooks(keys: string | readonly string[], options: ToleranceOptions = {}): Verifier & Signer {
  const all = listOf("keys", keys).map(parseKey);
  const toleranceMs = checkedTolerance(options);
  const verifier: Verifier = {
    name: "standardWebhooks",

    async verify(message) {
      const isSvix = message.headers.has("svix-signature") && !message.headers.has("webhook-signature");
      const prefix = isSvix ? "svix" : "webhook";
      const header = `${prefix}-signature`;
      const listed = requiredHeader(message, header);
      const id = requiredHeader(message, `${prefix}-id`);
      const timestamp = requiredHeader(message, `${prefix}-timestamp`);
      checkTimestamp(timestamp, toleranceMs);
      const texts = listed.split(" ");
      if (texts.length > MAX_SIGNATURES)
        throw refusal(`the header ${header} has more than ${MAX_SIGNATURES} signatures`);
      const payload = utf8Before(`${id}.${timestamp}.`, message.body);
      let isReadable = false;
      for (const { version, key } of all) {
        const signatures = texts
          .filter((text) => text.startsWith(`${version},`))
          .map((text) => decodeBase64(text.slice(version.length + 1), SIZES[version]))
          .filter((signature) => signature !== undefined);
        isReadable ||= signatures.length > 0;
        if (await matches([key], { payload, signatures })) return true;
      }
      throw refusal(
        isReadable
          ? `no signature in the header ${header} matches`
          : `the header ${header} has no signature of a version that there is a key for`,
      );
    },
  };
  const signers = all.flatMap(({ version, key: { sign } }) => (sign ? [{ version, sign }] : []));
  // Without `sign`, a publisher sees at once that it cannot sign.
  return signers.length === 0 ? (verifier as Verifier & Signer) : { ...verifier, ...signer(signers) };
}

function signer(signers: readonly { version: Version; sign: NonNullable<Key["sign"]> }[]): Signer {
  return {
    async sign({ id, body, atMs = unixNow() }) {
      const timestamp = String(Math.floor(atMs / 1000));
      const payload = utf8Before(`${id}.${timestamp}.`, body);
      const signatures: string[] = [];
      for (const { version, sign } of signers) signatures.push(`${version},${toBase64(await sign(payload))}`);
      return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
    },
  };
}

function parseKey(text: unknown): VersionedKey {
  const [, kind, base64 = ""] = (typeof text === "string" && /^(whsec|whsk|whpk)_(.*)$/s.exec(text)) || [];
  const bytes = decodeBase64(base64);
  if (kind === undefined || !bytes)
    throw mustBe("a key of standardWebhooks", FORMS, text === undefined ? text : HIDDEN);
  const { length } = bytes;
  if (kind === "whsec") {
    if (length < 24 || length > 64) throw wrongSize("a secret", "24 to 64", length);
    return { version: "v1", key: hmacKey(bytes) };
  }
  if (kind === "whpk") {
    if (length !== 32) throw wrongSize("a public key", "32", length);
    return { version: "v1a", key: ed25519PublicKey(bytes) };
  }
  if (length !== 32 && length !== 64) throw wrongSize("a private key", "32 or 64", length);
  return { version: "v1a", key: ed25519PrivateKey(bytes) };
}

function wrongSize(what: string, expected: string, received: number) {
  return mustBe(`${what} of standardWebhooks`, `${expected} bytes in Base64`, received);
}
