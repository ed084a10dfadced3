/** Signatures with a shared secret (HMAC, RFC 2104), where a scheme has only a header with a signature of the body. */
import { checkOptionNames } from "../../../client/options.js";
import { HIDDEN, mustBe } from "../../../engine/messages.js";
import { asBytes, isBytes } from "../bytes.js";
import { decodeBase64 } from "./base64.js";
import { hmacKeys, matches, type Secret } from "./keys.js";
import { fromHex, refusal, requiredHeader, type SignedMessage, type Verifier } from "./signature.js";
import { TextEncoder } from "../../../platform/text.js";

/** The bytes of a signature, by the name of its algorithm. SHA-1 is too weak for new signatures. */
const SIZES = { "SHA-256": 32, "SHA-384": 48, "SHA-512": 64 } as const;

/** How a sender signs. */
export interface HmacOptions {
  /** The secret, or several while it is changed. Text stands for its bytes in UTF-8. */
  secret: Secret | readonly Secret[];
  /** The name of the header that has the signature. */
  header: string;
  /** @default "SHA-256" */
  algorithm?: "SHA-256" | "SHA-384" | "SHA-512";
  /** How the signature is written. @default "hex" */
  encoding?: "hex" | "base64";
  /** What is before the signature in the header, for example `sha256=`. @default nothing */
  prefix?: string;
  /** The bytes that were signed, for example with a timestamp from another header. @default the body */
  payload?: (message: SignedMessage) => string | Uint8Array;
}

/**
 * Verifies an HMAC in a header.
 *
 * @example hmac({ secret, header: "x-signature", algorithm: "SHA-512", encoding: "base64" })
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad option
 */
export function hmac(options: HmacOptions): Verifier {
  checkOptionNames("hmac", options, ["secret", "header", "algorithm", "encoding", "prefix", "payload"]);
  const { secret, header, algorithm = "SHA-256", encoding = "hex", prefix = "", payload } = options;
  if (typeof header !== "string" || !/^[\w!#$%&'*+.^`|~-]+$/.test(header))
    throw mustBe("header", "the name of a header", header);
  if (!Object.hasOwn(SIZES, algorithm)) throw mustBe("algorithm", '"SHA-256", "SHA-384" or "SHA-512"', algorithm);
  if (encoding !== "hex" && encoding !== "base64") throw mustBe("encoding", '"hex" or "base64"', encoding);
  if (typeof prefix !== "string") throw mustBe("prefix", "a string", prefix);
  if (payload !== undefined && typeof payload !== "function") throw mustBe("payload", "a function", payload);
  const keys = hmacKeys("secret", secret, algorithm);
  const decode = encoding === "hex" ? fromHex : decodeBase64;
  return {
    name: "hmac",
    async verify(message) {
      const value = requiredHeader(message, header);
      const signature = value.startsWith(prefix) ? decode(value.slice(prefix.length), SIZES[algorithm]) : undefined;
      if (!signature) throw refusal(`the header ${header} has no signature of the expected form`);
      const signed = payload ? payload(message) : message.body;
      const bytes = typeof signed === "string" ? new TextEncoder().encode(signed) : signed;
      if (!isBytes(bytes)) throw mustBe("the result of payload", "a string or bytes", HIDDEN);
      if (await matches(keys, { payload: asBytes(bytes), signatures: [signature] })) return true;
      throw refusal(`the signature in the header ${header} does not match`);
    },
  };
}

/** Verifies web hooks of GitHub by `x-hub-signature-256`. @param secret the secret of the web hook, or several */
export function github(secret: Secret | readonly Secret[]): Verifier {
  return { ...hmac({ secret, header: "x-hub-signature-256", prefix: "sha256=" }), name: "github" };
}

/** Verifies web hooks of Shopify by `x-shopify-hmac-sha256`. @param secret the client secret of the app, or several */
export function shopify(secret: Secret | readonly Secret[]): Verifier {
  return { ...hmac({ secret, header: "x-shopify-hmac-sha256", encoding: "base64" }), name: "shopify" };
}
