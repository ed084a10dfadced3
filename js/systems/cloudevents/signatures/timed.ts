/** Verifiers of services that sign the body together with a time. */
import { HIDDEN, mustBe } from "../../../engine/messages.js";
import { utf8Before } from "../../../platform/crypto.js";
import { ed25519PublicKey, hmacKeys, listOf, matches, type Key, type Secret } from "./keys.js";
import {
  checkedTolerance,
  checkTimestamp,
  fromHex,
  MAX_SIGNATURES,
  refusal,
  requiredHeader,
  type SignedMessage,
  smallJson,
  type ToleranceOptions,
  type Verifier,
} from "./signature.js";

/** What a scheme reads from the headers. */
interface Signed {
  /** Unix seconds. */
  timestamp: string;
  /** What is before the body in the signed bytes. */
  head: string;
  signatures: (Uint8Array | undefined)[];
}

/**
 * Verifies web hooks of Stripe by `stripe-signature`.
 *
 * @param secret the signing secret of the endpoint, `whsec_…`, or several
 */
export function stripe(secret: Secret | readonly Secret[], options: ToleranceOptions = {}): Verifier {
  return timed("stripe", hmacKeys("secret", secret), options, (message) => {
    const parts = requiredHeader(message, "stripe-signature")
      .split(",")
      .map((part) => part.split("=") as [string, string?]);
    const times = parts.filter(([name]) => name === "t");
    if (times.length !== 1) throw refusal("the header stripe-signature must have one t");
    const timestamp = times[0]![1] ?? "";
    const signatures = parts.filter(([name]) => name === "v1").map(([, text = ""]) => fromHex(text, 32));
    return { timestamp, head: `${timestamp}.`, signatures };
  });
}

/**
 * Verifies requests of Slack by `x-slack-signature`, and answers its `url_verification`.
 *
 * @param secret the signing secret of the app, or several
 */
export function slack(secret: Secret | readonly Secret[], options: ToleranceOptions = {}): Verifier {
  const verifier = timed("slack", hmacKeys("secret", secret), options, (message) => {
    const timestamp = requiredHeader(message, "x-slack-request-timestamp");
    const signature = requiredHeader(message, "x-slack-signature");
    const bytes = signature.startsWith("v0=") ? fromHex(signature.slice(3), 32) : undefined;
    return { timestamp, head: `v0:${timestamp}:`, signatures: [bytes] };
  });
  return {
    ...verifier,
    answer(message) {
      const { type, challenge } = smallJson(message);
      return type === "url_verification" ? Response.json({ challenge }) : undefined;
    },
  };
}

/**
 * Verifies requests of Discord by `x-signature-ed25519`, and answers its pings.
 *
 * @param publicKey the public key of the application, 64 hexadecimal digits, or several
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for another text, and where the runtime has no Ed25519
 */
export function discord(publicKey: string | readonly string[], options: ToleranceOptions = {}): Verifier {
  const keys = listOf("publicKey", publicKey).map((text) => {
    const bytes = typeof text === "string" ? fromHex(text, 32) : undefined;
    if (!bytes) throw mustBe("publicKey", "64 hexadecimal digits", HIDDEN);
    return ed25519PublicKey(bytes.slice());
  });
  const verifier = timed("discord", keys, options, (message) => {
    const timestamp = requiredHeader(message, "x-signature-timestamp");
    return { timestamp, head: timestamp, signatures: [fromHex(requiredHeader(message, "x-signature-ed25519"), 64)] };
  });
  const answer = (message: SignedMessage) =>
    smallJson(message)["type"] === 1 ? Response.json({ type: 1 }) : undefined;
  return { ...verifier, answer };
}

function timed(
  name: string,
  keys: readonly Key[],
  options: ToleranceOptions,
  read: (message: SignedMessage) => Signed,
): Verifier {
  const toleranceMs = checkedTolerance(options);
  return {
    name,
    async verify(message) {
      const { timestamp, head, signatures } = read(message);
      checkTimestamp(timestamp, toleranceMs);
      const readable = signatures.filter((signature) => signature !== undefined);
      if (readable.length === 0) throw refusal("there is no signature of the expected form");
      if (readable.length > MAX_SIGNATURES) throw refusal(`there are more than ${MAX_SIGNATURES} signatures`);
      if (await matches(keys, { payload: utf8Before(head, message.body), signatures: readable })) return true;
      throw refusal("the signature does not match");
    },
  };
}
