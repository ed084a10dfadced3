/**
 * Tokens of an identity provider in the header `authorization`, as Google Pub/Sub push and Entra ID send them: JSON Web
 * Tokens (RFC 7519), verified by npm `jose` with the keys that the issuer publishes (RFC 7517).
 */
import { FerryError } from "../../../engine/errors.js";
import { HIDDEN, mustBe } from "../../../engine/messages.js";
import { checkedUrl, checkOptionNames, checkTimeout, DEFAULT_TIMEOUT_MS } from "../../../client/options.js";
import { isLoopback } from "../../../client/loopback.js";
import { unixNow } from "../../../platform/clock.js";
import type { FetchLike } from "../../../platform/fetch.js";
import { Waiters } from "../../../platform/waiters.js";
import { refusal, requiredHeader, type Verifier } from "./signature.js";

/** Which tokens `jwt` accepts. */
export interface JwtOptions {
  /** The claim `iss` of the token: one value, or several of which one must be there. */
  issuer: string | readonly string[];
  /** The claim `aud` of the token: for whom it is made. Without it, tokens for other receivers would be accepted. */
  audience: string | readonly string[];
  /** The public keys of the issuer: the https URL of its JSON Web Key Set, or the set itself. */
  jwks: string | URL | { readonly keys: readonly object[] };
  /** Other claims and the values that they must have, for example `{ email, email_verified: true }`. @default none */
  claims?: Readonly<Record<string, string | number | boolean>>;
  /** The signature algorithms to accept. @default those of RFC 7518 and RFC 8037 with public keys */
  algorithms?: readonly string[];
  /** By how many milliseconds the clock of the issuer may differ. @default 60 000 */
  toleranceMs?: number;
  /** Fetches the keys. @default the global `fetch` */
  fetch?: FetchLike;
  /** The time limit for fetching the keys, in milliseconds. @default 10 000 */
  timeoutMs?: number;
}

const NAMES = ["issuer", "audience", "jwks", "claims", "algorithms", "toleranceMs", "fetch", "timeoutMs"];
const DEFAULT_TOLERANCE_MS = 60_000;
/** Entra ID writes the groups of an account into its tokens. */
const MAX_TOKEN_LENGTH = 16_384;
/** None of them takes a shared secret: with one, whoever knows the public key could sign. */
const PUBLIC_KEY_ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];

/** What the sender's token has to do with these errors of `jose`; all others mean that it could not be checked. */
const REFUSALS: Readonly<Record<string, string>> = {
  ERR_JWT_EXPIRED: "the token has expired",
  ERR_JWT_CLAIM_VALIDATION_FAILED: "a claim of the token is missing or has another value",
  ERR_JWT_INVALID: "the token is not a JSON Web Token",
  ERR_JWS_INVALID: "the token is not a JSON Web Token",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "the signature of the token does not match",
  ERR_JWKS_NO_MATCHING_KEY: "the issuer has no key for the token",
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: "the token does not say which key signed it",
  ERR_JOSE_ALG_NOT_ALLOWED: "the algorithm of the token is not allowed",
  ERR_JOSE_NOT_SUPPORTED: "the token uses an extension or algorithm that is not supported",
};

type Jose = typeof import("jose");
type JWTVerifyGetKey = import("jose").JWTVerifyGetKey;

/**
 * Verifies the JSON Web Token in `authorization: Bearer …`. Keys that are fetched are kept for 10 minutes, and fetched
 * again at most every 30 seconds for a token with an unknown key.
 *
 * Needs npm `jose` 6, which the application installs.
 *
 * @example
 * jwt({
 *   issuer: "https://accounts.google.com",
 *   audience: "https://hook.example/events",
 *   jwks: "https://www.googleapis.com/oauth2/v3/certs",
 *   claims: { email: "push@project.iam.gserviceaccount.com", email_verified: true },
 * })
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad option. A delivery is answered with 500, and `onError` is told,
 * if `jose` is not installed or the keys cannot be fetched.
 */
export function jwt(options: JwtOptions): Verifier {
  checkOptionNames("jwt", options, NAMES);
  const { jwks, claims = {}, toleranceMs = DEFAULT_TOLERANCE_MS, timeoutMs = DEFAULT_TIMEOUT_MS, fetch } = options;
  const issuer = texts("issuer", options.issuer);
  const audience = texts("audience", options.audience);
  const algorithms = texts("algorithms", options.algorithms ?? PUBLIC_KEY_ALGORITHMS);
  const secretAlgorithm = algorithms.find((name) => !PUBLIC_KEY_ALGORITHMS.includes(name));
  if (secretAlgorithm !== undefined)
    throw mustBe("each of algorithms", `one of ${PUBLIC_KEY_ALGORITHMS.join(", ")}`, secretAlgorithm);
  if (typeof claims !== "object" || claims === null) throw mustBe("claims", "an object", claims);
  // A value that is missing in the configuration of the application would refuse every delivery.
  for (const [name, value] of Object.entries(claims))
    if (!["string", "number", "boolean"].includes(typeof value))
      throw mustBe(`claims.${name}`, "a string, a number or a boolean", value);
  if (!(Number.isFinite(toleranceMs) && toleranceMs >= 0))
    throw mustBe("toleranceMs", "a number of milliseconds, 0 or more", toleranceMs);
  if (fetch !== undefined && typeof fetch !== "function") throw mustBe("fetch", "a function", fetch);
  checkTimeout(timeoutMs, "timeoutMs");
  const source = checkedKeys(jwks);

  let keys: JWTVerifyGetKey | undefined;
  const keySet = (jose: Jose): JWTVerifyGetKey =>
    source instanceof URL
      ? jose.createRemoteJWKSet(source, {
          // `jose` takes whole milliseconds only.
          timeoutDuration: Math.ceil(timeoutMs),
          ...(fetch && {
            // A fetch that ignores its signal would keep all later deliveries waiting as well.
            [jose.customFetch]: async (url: string, init: RequestInit) =>
              new Waiters().withTimeout(timeoutMs, fetch(url, init)),
          }),
        })
      : jose.createLocalJWKSet(source);

  return {
    name: "jwt",
    async verify(message) {
      const header = requiredHeader(message, "authorization", MAX_TOKEN_LENGTH);
      const [, token] = /^Bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(header) ?? [];
      if (token === undefined) throw refusal("the header authorization has no bearer token of the expected form");
      const jose = await importJose();
      keys ??= keySet(jose);
      const payload = await verified(
        jose.jwtVerify(token, keys, {
          issuer,
          audience,
          algorithms,
          requiredClaims: ["exp"],
          clockTolerance: toleranceMs / 1000,
          currentDate: new Date(unixNow()),
        }),
      );
      for (const [name, value] of Object.entries(claims))
        if (!Object.hasOwn(payload, name) || payload[name] !== value) throw refusal(wrongClaim(name));
      return true;
    },
  };
}

/** The claims of a token that `jose` has verified. */
async function verified(result: Promise<{ payload: Record<string, unknown> }>): Promise<Record<string, unknown>> {
  try {
    return (await result).payload;
  } catch (error) {
    const { code, claim, reason: failure } = error as { code?: string; claim?: unknown; reason?: unknown };
    const reason = code === undefined || !Object.hasOwn(REFUSALS, code) ? undefined : REFUSALS[code];
    if (reason === undefined) throw error;
    if (code !== "ERR_JWT_CLAIM_VALIDATION_FAILED" || typeof claim !== "string") throw refusal(reason);
    const isEarly = claim === "nbf" && failure === "check_failed";
    throw refusal(isEarly ? "the token is not valid yet" : wrongClaim(claim));
  }
}

function wrongClaim(name: string): string {
  return `the claim ${name} of the token is missing or has another value`;
}

async function importJose(): Promise<Jose> {
  try {
    return await import("jose");
  } catch (cause) {
    throw new FerryError("ERR_INVALID_ARGUMENT", "jwt needs the package jose 6; run: npm install jose", { cause });
  }
}

function texts(name: string, given: unknown): string[] {
  const list = Array.isArray(given) ? (given as unknown[]) : [given];
  if (list.length === 0 || !list.every((text) => typeof text === "string" && text !== ""))
    throw mustBe(name, "a non-empty string or a non-empty list of them", given);
  return list as string[];
}

/** Keys that somebody on the way could replace would let everybody in, so they are fetched over https alone. */
function checkedKeys(jwks: unknown): URL | { keys: object[] } {
  if (typeof jwks === "string" || jwks instanceof URL) {
    const url = new URL(checkedUrl(String(jwks), "jwks"));
    if (url.protocol !== "https:" && !isLoopback(url.hostname)) throw mustBe("jwks", "an https URL", url.protocol);
    return url;
  }
  const keys = (jwks as { keys?: unknown } | null | undefined)?.keys;
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every((key) => typeof key === "object" && key !== null))
    throw mustBe("jwks", "the URL of a JSON Web Key Set, or a set with an array keys, not empty", HIDDEN);
  return { keys: [...(keys as object[])] };
}
