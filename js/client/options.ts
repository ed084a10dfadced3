/** Options that every client has, and how they are checked. Messages never show a value that may be secret. */
import { FerryError } from "../engine/errors.js";
import type { FetchLike } from "../platform/fetch.js";
import { formatValue, invalidArgument } from "../engine/messages.js";

/** Headers to add, or a function that gives them, asked once for each message: for tokens that change. */
export type HeadersOption = HeadersInit | (() => HeadersInit | Promise<HeadersInit>);

/** What every client can be told. */
export interface ClientOptions {
  /** Used instead of the global `fetch`: service bindings, tests. */
  fetch?: FetchLike;
  /** Aborts everything that the client has under way. */
  signal?: AbortSignal;
  /** How long each request may take, from its start to the end of the answer. @default 10 000 */
  timeoutMs?: number;
  headers?: HeadersOption;
}

export const DEFAULT_TIMEOUT_MS = 10_000;
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for what is no object, for an option that `names` does not have, and for a bad `fetch`, `signal`, `timeoutMs` or `headers`. */
export function checkClientOptions(what: string, options: unknown, names: readonly string[]): void {
  checkOptionNames(what, options, ["fetch", "signal", "timeoutMs", "headers", ...names]);
  const { fetch, signal, timeoutMs, headers } = options as Record<string, unknown>;
  if (fetch !== undefined && typeof fetch !== "function")
    throw invalidArgument(`fetch is a function like the global one, not ${formatValue(fetch)}`);
  checkSignal(signal);
  checkTimeout(timeoutMs);
  if (headers !== undefined && typeof headers !== "function") mergeHeaders([headers as HeadersInit], {});
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for what is no object and for names that are not among these. */
export function checkOptionNames(what: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw invalidArgument(`${what} takes an object of options, not ${formatValue(options)}`);
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw invalidArgument(`${what} has no option ${formatValue(unknown)}; there are ${names.join(", ")}`);
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkTimeout(timeoutMs: unknown, name = "timeoutMs"): void {
  if (timeoutMs === undefined) return;
  if (!(typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs <= LONGEST_TIMEOUT_MS)) {
    throw invalidArgument(
      `${name} is a number of milliseconds above 0 and up to ${LONGEST_TIMEOUT_MS}, not ${formatValue(timeoutMs)}`,
    );
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.addEventListener !== "function")
    throw invalidArgument(`signal is an AbortSignal, not ${formatValue(signal)}`);
}

/**
 * An absolute http or https URL, as the platform writes it.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` naming the option
 */
export function checkedUrl(given: unknown, name = "url"): string {
  let url: URL;
  try {
    url = new URL(given as string | URL);
  } catch {
    // Not shown: it may have a password or a token in it.
    throw invalidArgument(`${name} must be an absolute URL`);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw invalidArgument(`${name} must be http or https, not ${formatValue(url.protocol)}`);
  if (url.username || url.password)
    throw invalidArgument(`${name} must not have a user name or password in it; give an authorization header`);
  return url.href;
}

/** Headers as `name: value` lines; at once, unless a function has to be waited for. Later ones win over earlier, and those of the room over all. */
export function headerLines(
  given: readonly (HeadersOption | undefined)[],
  own: Record<string, string>,
): string | Promise<string> {
  const asked = given.map((option) => (typeof option === "function" ? option() : option));
  return asked.some((headers) => typeof (headers as Promise<HeadersInit> | undefined)?.then === "function")
    ? Promise.all(asked).then((all) => mergeHeaders(all, own))
    : mergeHeaders(asked as (HeadersInit | undefined)[], own);
}

/** Headers that are there already, as `name: value` lines. */
export function mergeHeaders(given: readonly (HeadersInit | undefined)[], own: Record<string, string>): string {
  const headers = new Headers();
  for (const some of given) {
    try {
      new Headers(some).forEach((value, name) => headers.set(name, value));
    } catch {
      // The message of the platform may quote a value, and the value may be a token.
      throw invalidArgument("the headers given have a name or value that HTTP does not allow");
    }
  }
  for (const name in own) headers.set(name, own[name]!);
  const lines: string[] = [];
  headers.forEach((value, name) => lines.push(`${name}: ${value}`));
  return lines.join("\n");
}

/** What a call rejects with after its signal has aborted. */
export function aborted(signal: AbortSignal): FerryError {
  return new FerryError("ERR_ABORTED", undefined, { cause: signal.reason });
}
