/** The options of all clients, and their checks. Messages never show a value that may be secret. */
import { FerryError } from "../engine/errors.js";
import { formatValue, HIDDEN, invalidArgument, mustBe, unknownOption } from "../engine/messages.js";
import type { FetchLike } from "../platform/fetch.js";
import { pageUrl } from "../platform/page-url.js";
import type { HeadersInit } from "../platform/web-types.js";

/** Headers to add, or a function that returns them. It is called once for each message, for tokens that change. */
export type HeadersOption = HeadersInit | (() => HeadersInit | Promise<HeadersInit>);

/** The options of all clients. */
export interface ClientOptions {
  /**
   * Used instead of the global `fetch`, and called the same way, `fetch(url, init)`, never with a Request: for proxies,
   * service bindings and tests. @default the global `fetch`
   */
  fetch?: FetchLike;
  /** Aborts all operations of the client. */
  signal?: AbortSignal;
  /** The time limit of each request in milliseconds, from its start to the end of the response. @default 10 000 */
  timeoutMs?: number;
  /** Headers for all requests. */
  headers?: HeadersOption;
}

/** The default of `timeoutMs`. */
export const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Checks the options of a client.
 *
 * @param owner the class or function that has the options, for messages
 * @param names the options beside those of all clients
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` if `options` is not an object or has an unknown name, or for a bad
 * `fetch`, `signal`, `timeoutMs` or `headers`
 */
export function checkClientOptions(owner: string, options: unknown, names: readonly string[]): void {
  checkOptionNames(owner, options, [...names, "fetch", "signal", "timeoutMs", "headers"]);
  const { fetch, signal, timeoutMs, headers } = options as Record<string, unknown>;
  if (fetch !== undefined && typeof fetch !== "function") throw mustBe("fetch", "a function", fetch);
  checkSignal(signal);
  checkTimeout(timeoutMs);
  if (headers !== undefined && typeof headers !== "function") mergeHeaders([headers as HeadersInit], {});
}

/**
 * Checks that `options` is an object and that all its names are known.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function checkOptionNames(owner: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    // A string may be a URL with a token, or a secret.
    throw mustBe(
      `the options of ${owner}`,
      `an object such as { ${names[0]}: … }`,
      typeof options === "string" ? HIDDEN : options,
    );
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  const inner = INNER_OPTIONS.filter((name) => names.includes(name.split(".")[0]!));
  throw unknownOption(owner, unknown, names, inner);
}

/** Options of options, which are easily written one level too high. */
const INNER_OPTIONS = [
  "retry.attempts",
  "retry.baseMs",
  "retry.maxMs",
  "outbox.store",
  "outbox.batch",
  "outbox.gzip",
  "outbox.overflow",
  "outbox.unload",
  "outbox.maxBytes",
];

/**
 * Checks a timeout, which may be left out.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function checkTimeout(timeoutMs: unknown, name = "timeoutMs"): void {
  if (timeoutMs === undefined) return;
  if (!(typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)) {
    throw mustBe(name, `a number of milliseconds above 0 and up to ${MAX_TIMEOUT_MS}`, timeoutMs);
  }
}

/**
 * Checks an abort signal, which may be left out.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.addEventListener !== "function")
    throw mustBe("signal", "an AbortSignal", signal, "signal" in Object(signal) ? "pass its member signal" : undefined);
}

/**
 * Checks an http or https URL. In a page it may be relative to that of the page. Returns it in the normal form of the
 * platform.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function checkedUrl(given: unknown, name = "url"): string {
  let url: URL;
  try {
    url = new URL(given as string | URL, pageUrl());
  } catch {
    // It may contain a password or a token.
    throw mustBe(name, "an absolute URL", HIDDEN, urlAdvice(given));
  }
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw mustBe(name, "an http or https URL", url.protocol, urlAdvice(given));
  if (url.username || url.password)
    throw invalidArgument(`${name} must not contain a user name or password; use an authorization header`);
  return url.href;
}

/**
 * Checks that a token comes without the word that the header has before it.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function checkBareToken(name: string, token: string): void {
  if (/^bearer\s/i.test(token)) throw mustBe(name, "the token alone", HIDDEN, 'leave out the word "Bearer"');
}

/** What to write instead of a URL that is none. It names only the host, because the path may have a token. */
function urlAdvice(given: unknown): string | undefined {
  if (typeof given === "object" && given !== null) return "pass the URL itself, as a string or a URL";
  const [host, port] = /^[\w.-]+(?::(\d+)|\.[a-z]{2,})(?=\/|$)/i.exec(String(given)) ?? [];
  if (host !== undefined) return `did you mean ${formatValue(`${port === undefined ? "https" : "http"}://${host}`)}?`;
  if (/^\.?\//.test(String(given))) return "only a page has an address that it can be relative to";
  return /^wss?:/i.test(String(given)) ? "write http for ws, and https for wss" : undefined;
}

/**
 * Merges headers to lines of `name: value`. Later ones override earlier ones, and those of the system all others.
 * Returns a promise only if a function does.
 */
export function headerLines(
  options: readonly (HeadersOption | undefined)[],
  systemHeaders: Record<string, string>,
): string | Promise<string> {
  const given = options.map((option) => (typeof option === "function" ? option() : option));
  return given.some((headers) => typeof (headers as Promise<HeadersInit> | undefined)?.then === "function")
    ? Promise.all(given).then((all) => mergeHeaders(all, systemHeaders))
    : mergeHeaders(given as (HeadersInit | undefined)[], systemHeaders);
}

/**
 * Like `headerLines`, for headers without functions.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function mergeHeaders(
  given: readonly (HeadersInit | undefined)[],
  systemHeaders: Record<string, string>,
): string {
  const headers = new Headers();
  for (const init of given) {
    try {
      new Headers(init).forEach((value, name) => {
        headers.set(name, value);
      });
    } catch {
      // The message of the platform may contain a value, and the value may be a token.
      throw mustBe("headers", "names and values that HTTP allows", HIDDEN);
    }
  }
  for (const name in systemHeaders) headers.set(name, systemHeaders[name]!);
  const lines: string[] = [];
  headers.forEach((value, name) => {
    lines.push(`${name}: ${value}`);
  });
  return lines.join("\n");
}

/** The error of an operation whose signal has aborted. */
export function aborted(signal: AbortSignal): FerryError {
  return new FerryError("ERR_ABORTED", undefined, { cause: signal.reason });
}
