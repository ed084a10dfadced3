/** What verifiers and signers of web hooks are, and the parts that all of them use. */
import { FerryError } from "../../../engine/errors.js";
import { mustBe } from "../../../engine/messages.js";
import { unixNow } from "../../../platform/clock.js";
import { TextDecoder } from "../../../platform/text.js";

/** A delivery as verifiers see it. */
export interface SignedMessage {
  /** The headers of the request. */
  readonly headers: Headers;
  /** The body as it was signed: without its content encoding, and not parsed. */
  readonly body: Uint8Array;
}

/** Checks who has sent a delivery. */
export interface Verifier {
  /** For the messages of errors. */
  readonly name: string;
  /**
   * Resolves with `true` if the delivery is genuine; every other result refuses it.
   *
   * @throws {FerryError} `ERR_UNAUTHORIZED` if it is not: the message says why, without secrets. Any other error means
   * that it could not be checked.
   */
  verify(message: SignedMessage): Promise<true>;
  /** The answer to a genuine delivery by which the service only asks for it; `undefined` for all others. */
  answer?(message: SignedMessage): Response | undefined;
}

/** What a signer signs. */
export interface UnsignedMessage {
  /** Tells the bodies of a sender apart; the same for each repetition of a body. */
  readonly id: string;
  /** The body without its content encoding. */
  readonly body: Uint8Array;
  /** The time of the signature, in Unix milliseconds. For tests. @default now */
  readonly atMs?: number;
}

/** Signs requests. */
export interface Signer {
  /** The headers to add to the request. Called for each attempt, because signatures have a time. */
  sign(message: UnsignedMessage): Promise<Record<string, string>>;
}

/** How long a signature counts. */
export interface ToleranceOptions {
  /**
   * By how many milliseconds the time of a signature may differ from the clock here, in either direction. A higher
   * tolerance gives a stolen delivery more time to be repeated. @default 300 000
   */
  toleranceMs?: number;
}

/** What a request says about its signature. */
export interface Claim {
  /** The bytes that were signed. */
  readonly payload: Uint8Array;
  /** Any of them may be right: senders sign twice while they change their key. */
  readonly signatures: readonly Uint8Array[];
}

const DEFAULT_TOLERANCE_MS = 300_000;
/** No scheme needs longer headers. */
const MAX_HEADER_LENGTH = 4096;
/** Each signature is compared with each key, so their number is limited. */
export const MAX_SIGNATURES = 16;

/** The refusal of a delivery. */
export function refusal(reason: string): FerryError {
  return new FerryError("ERR_UNAUTHORIZED", reason);
}

/**
 * The value of a header that must be there once.
 *
 * @throws {FerryError} `ERR_UNAUTHORIZED`
 */
export function requiredHeader(
  { headers }: SignedMessage,
  name: string,
  maxLength: number = MAX_HEADER_LENGTH,
): string {
  const value = headers.get(name);
  if (value === null || value === "") throw refusal(`the header ${name} is missing`);
  if (value.length > maxLength) throw refusal(`the header ${name} is longer than ${maxLength} characters`);
  // Platforms join repeated headers like this. No value of these headers has it.
  if (value.includes(", ")) throw refusal(`the header ${name} is repeated`);
  return value;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for a tolerance that is not a number of milliseconds. */
export function checkedTolerance({ toleranceMs = DEFAULT_TOLERANCE_MS }: ToleranceOptions): number {
  if (!(typeof toleranceMs === "number" && toleranceMs > 0))
    throw mustBe("toleranceMs", "a number of milliseconds above 0", toleranceMs);
  return toleranceMs;
}

/**
 * Checks the time of a signature.
 *
 * @param text Unix seconds
 * @throws {FerryError} `ERR_UNAUTHORIZED`
 */
export function checkTimestamp(text: string, toleranceMs: number): void {
  if (!/^\d{1,12}$/.test(text)) throw refusal("the timestamp of the signature is not a number of seconds");
  const ageMs = unixNow() - Number(text) * 1000;
  if (ageMs > toleranceMs) throw refusal(`the signature is older than ${toleranceMs} ms`);
  if (ageMs < -toleranceMs) throw refusal(`the signature is from more than ${toleranceMs} ms in the future`);
}

/** A service asks with less. */
const MAX_QUESTION_BYTES = 4096;

/** The members of a small body that is a JSON object. */
export function smallJson({ body }: SignedMessage): Record<string, unknown> {
  try {
    return body.length > MAX_QUESTION_BYTES ? {} : (JSON.parse(new TextDecoder().decode(body)) ?? {});
  } catch {
    return {};
  }
}

/** The bytes of hexadecimal text of this many bytes; undefined if it is not. */
export function fromHex(text: string, length: number): Uint8Array | undefined {
  if (text.length !== 2 * length || !/^[\da-f]*$/i.test(text)) return undefined;
  return Uint8Array.from({ length }, (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16));
}
