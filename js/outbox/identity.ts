/**
 * Whose events an outbox has. An event is stored under the identity that was present when it was published, and sent
 * only while the same identity is present.
 */
import { publish } from "../engine/modules/publish.js";
import { isIdentityHeader } from "../client/credential-headers.js";
import type { HeadersOption } from "../client/options.js";
import { FerryError } from "../engine/errors.js";
import { HIDDEN, mustBe } from "../engine/messages.js";
import { sha256 } from "../platform/sha256.js";
import type { HeadersInit } from "../platform/web-types.js";

/** The identity, or a function that returns the present one. It is called often, and must not use the outbox. */
export type IdentityOption = string | (() => string);

/** The identity where the option `identity` is missing. */
export interface DefaultIdentity {
  readonly text: string;
  /** What an application should know about it. */
  readonly warning?: string;
}

/** The identity of a client with these headers. */
export function identityOfHeaders(headers: HeadersOption | undefined): DefaultIdentity {
  if (typeof headers === "function") {
    const warning =
      "the headers of this client come from a function, so all events count as those of one user: events that wait " +
      "when one user signs out may be sent with the headers of the next; set outbox.identity, for example to a " +
      "function that returns the id of the user";
    return { text: "", warning };
  }
  const credentials = credentialsOf(headers);
  if (credentials === "") return { text: "" };
  const text = `headers\n${credentials}`;
  if (!/^[^:]*: bearer /im.test(credentials)) return { text };
  const warning =
    "the identity of this outbox is its Bearer token, and a renewed token is another identity, under which waiting " +
    "events are not sent; set outbox.identity, for example to the id of the user";
  return { text, warning };
}

/**
 * The identity for `adopt`: an identity, or the headers of an earlier client.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function formerIdentity(from: unknown): string {
  if (typeof from === "string") return from;
  if (typeof from !== "object" || from === null) throw mustBe("the argument of adopt", "an identity or headers", from);
  try {
    return identityOfHeaders(from as HeadersInit).text;
  } catch {
    throw mustBe("the argument of adopt", "an identity or headers", HIDDEN);
  }
}

/**
 * The present identity.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` if the function throws or returns something other than a string
 */
export function readIdentity(option: IdentityOption): string {
  if (typeof option === "string") return option;
  let identity: unknown;
  try {
    identity = option();
  } catch (cause) {
    throw new FerryError("ERR_INVALID_ARGUMENT", "the function outbox.identity threw an error", { cause });
  }
  if (typeof identity === "string") return identity;
  // Nobody else handles its rejection.
  if (identity instanceof Promise) identity.catch(() => undefined);
  // The result may be an object with the data of a user.
  const received = identity === null ? "null" : identity instanceof Promise ? "a promise" : typeof identity;
  throw new FerryError("ERR_INVALID_ARGUMENT", `outbox.identity must return a string; received ${received}`);
}

/** The scope of the rows of an identity at a destination. */
export function scopeFor(destination: string, identity: string): string {
  return digestOf(JSON.stringify([destination, identity]));
}

/** A short name for a text that must not be shown: 32 characters of `0-9` and `a-f`. */
export function digestOf(text: string): string {
  // An engine that is not loaded is an error here, where the outbox is made, not when the first event is published.
  void publish.glue;
  return sha256(text).slice(0, 32);
}

/** The headers that tell who sends, as sorted lines. */
function credentialsOf(headers: HeadersInit | undefined): string {
  const lines: string[] = [];
  new Headers(headers).forEach((value, name) => {
    if (isIdentityHeader(name)) lines.push(`${name}: ${value}`);
  });
  return lines.sort().join("\n");
}
