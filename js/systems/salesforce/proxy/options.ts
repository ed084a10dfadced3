/** Options of the proxy, and their checks. Messages never show a value that may be secret. */
import { isLoopback } from "../../../client/loopback.js";
import { checkedUrl, checkOptionNames, checkTimeout } from "../../../client/options.js";
import { HIDDEN, invalidArgument, mustBe } from "../../../engine/messages.js";
import type { FetchLike } from "../../../platform/fetch.js";
import type { CometdOptions } from "./cometd.js";
import { GRANTS, type LoginOptions } from "./login.js";
import type { UpstreamOptions } from "./upstream.js";

/** Options of `salesforceProxy`. */
export interface SalesforceProxyOptions {
  /** The instance that events come from: `https://acme.my.salesforce.com`. The proxy never reaches another one. */
  instanceUrl: string;
  /** Where pages log in: `https://login.salesforce.com`, `https://test.salesforce.com`. @default `instanceUrl` */
  loginUrl?: string;
  /**
   * Origins of the pages that may use the proxy, as browsers send them: `https://app.example.com`. The origin of the
   * proxy needs an entry too.
   */
  allowedOrigins: readonly string[];
  /**
   * Decides for every request whether its caller may use the proxy; only `true` allows it, otherwise the answer is 403.
   * Programs other than browsers can send any `Origin`, so only this identifies a caller. Required with `accessToken`.
   *
   * @default every caller from an allowed origin
   */
  authorize?: (request: Request) => boolean | Promise<boolean>;
  /**
   * Returns the access token for a caller. Pages then need no token and cannot log in; tokens that they send are
   * ignored. Called with `renew` when Salesforce has refused the last token; the request is then sent once more with
   * the new one.
   *
   * @default the token that the page sends
   */
  accessToken?: (request: Request, renew: boolean) => string | Promise<string>;
  /**
   * Channels that pages may subscribe to: `["/event/Order__e", "/topic/*"]`, or `"*"` for all that the token may read.
   * The proxy refuses other subscriptions and, if there is a list, all publishing. Required with `accessToken`.
   *
   * @default "*"
   */
  allowedChannels?: readonly string[] | "*";
  /**
   * OAuth grant types that pages may use. An empty list disables the login.
   *
   * @default `["password", "refresh_token", "authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]`
   */
  grants?: readonly string[];
  /**
   * Consumer key of the connected app. Replaces the `client_id` that a page sends.
   *
   * @default the `client_id` of the page
   */
  consumerKey?: string;
  /**
   * Consumer secret of the connected app. Replaces the `client_secret` that a page sends, so that no page needs it.
   *
   * @default the `client_secret` of the page
   */
  consumerSecret?: string;
  /**
   * Where pages reach the proxy, such as `https://app.example.com/salesforce`. Needed behind another proxy.
   *
   * @default the URL of the request
   */
  publicUrl?: string;
  /** Names of further headers that pages may send, for `authorize`. They are not forwarded. @default none */
  allowedHeaders?: readonly string[];
  /**
   * Maximum size of a request, in bytes. Larger ones are answered with 413. Higher values need more memory.
   *
   * @default 65 536
   */
  maxRequestBytes?: number;
  /** Maximum size of a response, in bytes. A larger one is cut off with an error. @default 10 MiB */
  maxResponseBytes?: number;
  /** Time limit for a response, in milliseconds, until its end. @default 10 000 */
  timeoutMs?: number;
  /** The same for a poll, which Salesforce holds for up to 110 s. @default 130 000 */
  pollTimeoutMs?: number;
  /** Used instead of the global `fetch`. */
  fetch?: FetchLike;
  /**
   * Called with what `authorize` or `accessToken` threw, and with errors of requests to Salesforce. The page only gets
   * the status 500, 502 or 504.
   */
  onError?: (error: unknown, request: Request) => void;
}

/** The options with defaults, by the part that needs them. */
export interface ProxySettings {
  readonly origins: ReadonlySet<string>;
  /** Headers that pages may send, as `Access-Control-Allow-Headers` has them. */
  readonly pageHeaders: string;
  readonly publicUrl: string | undefined;
  readonly upstream: UpstreamOptions;
  readonly login: LoginOptions;
  readonly cometd: CometdOptions;
}

const NAMES = [
  "instanceUrl",
  "loginUrl",
  "allowedOrigins",
  "authorize",
  "accessToken",
  "allowedChannels",
  "grants",
  "consumerKey",
  "consumerSecret",
  "publicUrl",
  "allowedHeaders",
  "maxRequestBytes",
  "maxResponseBytes",
  "timeoutMs",
  "pollTimeoutMs",
  "fetch",
  "onError",
] as const;

const PAGE_HEADERS = ["authorization", "content-type"] as const;
const DEFAULT_GRANTS = GRANTS.filter((grant) => grant !== "client_credentials");

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function proxySettings(options: SalesforceProxyOptions): ProxySettings {
  checkOptionNames("salesforceProxy", options, NAMES);
  const { authorize, accessToken, allowedChannels, loginUrl, publicUrl, consumerKey, consumerSecret } = options;
  const origins = originsOf(options.allowedOrigins);
  const pageHeaders = [...PAGE_HEADERS, ...(options.allowedHeaders ?? []).map(headerName)].join(", ");
  for (const name of ["authorize", "accessToken", "fetch", "onError"] as const) {
    if (options[name] !== undefined && typeof options[name] !== "function") throw mustBe(name, "a function", HIDDEN);
  }
  for (const name of ["consumerKey", "consumerSecret"] as const) {
    if (options[name] !== undefined && (typeof options[name] !== "string" || options[name] === ""))
      throw mustBe(name, "a non-empty string", HIDDEN);
  }
  if (accessToken && (!authorize || allowedChannels === undefined)) {
    throw invalidArgument(
      "accessToken needs authorize and allowedChannels; otherwise any caller could use the token for any channel",
    );
  }
  const page = publicUrl === undefined ? undefined : baseUrl(publicUrl, "publicUrl");
  const instanceUrl = baseUrl(options.instanceUrl, "instanceUrl");
  const upstream = {
    fetch: options.fetch,
    timeoutMs: duration("timeoutMs", options.timeoutMs, 10_000),
    pollTimeoutMs: duration("pollTimeoutMs", options.pollTimeoutMs, 130_000),
    maxResponseBytes: size("maxResponseBytes", options.maxResponseBytes, 10 * 1024 * 1024),
  };
  const maxRequestBytes = size("maxRequestBytes", options.maxRequestBytes, 64 * 1024);
  return {
    origins,
    pageHeaders,
    publicUrl: page,
    upstream,
    login: {
      // With `accessToken` no page may log in.
      grants: accessToken ? [] : grantsOf(options.grants),
      loginUrl: loginUrl === undefined ? instanceUrl : baseUrl(loginUrl, "loginUrl"),
      instanceUrl,
      fixedFields: {
        ...(consumerKey !== undefined && { client_id: consumerKey }),
        ...(consumerSecret !== undefined && { client_secret: consumerSecret }),
      },
      maxRequestBytes,
    },
    cometd: { instanceUrl, accessToken, channels: channelsOf(allowedChannels), maxRequestBytes },
  };
}

function originsOf(given: unknown): Set<string> {
  if (!Array.isArray(given) || given.length === 0)
    throw mustBe("allowedOrigins", 'a non-empty array of origins such as "https://app.example.com"', given);
  for (const origin of given as unknown[]) {
    if (typeof origin !== "string" || !/^https?:\/\/[^/]+$/.test(origin) || new URL(origin).origin !== origin)
      throw mustBe(
        "each of allowedOrigins",
        'an origin as browsers send it, such as "https://app.example.com", without a path',
        origin,
      );
  }
  return new Set(given as string[]);
}

function headerName(name: unknown): string {
  if (typeof name === "string" && /^[\w!#$%&'*+.^`|~-]+$/.test(name)) return name.toLowerCase();
  throw mustBe("each of allowedHeaders", "the name of a header", name);
}

function channelsOf(given: unknown): readonly string[] | undefined {
  if (given === undefined || given === "*") return undefined;
  if (
    !Array.isArray(given) ||
    !given.every((channel) => typeof channel === "string" && channel.startsWith("/") && !channel.includes("?"))
  )
    throw mustBe(
      "allowedChannels",
      '"*" or an array of channels such as "/event/Order__e" and "/topic/*", without filters',
      given,
    );
  return [...(given as string[])];
}

function grantsOf(given: unknown = DEFAULT_GRANTS): readonly string[] {
  if (!Array.isArray(given)) throw mustBe("grants", "an array of grant types", given);
  const unknown = (given as unknown[]).find((grant) => !GRANTS.includes(grant as string));
  if (unknown !== undefined) throw mustBe("each of grants", `one of ${GRANTS.join(", ")}`, unknown);
  return [...(given as string[])];
}

/**
 * The URL without a trailing slash. Plain http is allowed only to this machine, because tokens and passwords are sent
 * there.
 */
function baseUrl(given: unknown, name: string): string {
  const url = new URL(checkedUrl(given, name));
  if (url.search || url.hash) throw mustBe(name, "a URL without a query and a fragment", HIDDEN);
  if (url.protocol !== "https:" && !isLoopback(url.hostname)) throw mustBe(name, "an https URL", url.protocol);
  return url.origin + url.pathname.replace(/\/+$/, "");
}

function duration(name: string, given: number | undefined, defaultMs: number): number {
  checkTimeout(given, name);
  return given ?? defaultMs;
}

function size(name: string, given: unknown, defaultBytes: number): number {
  if (given === undefined) return defaultBytes;
  if (Number.isSafeInteger(given) && (given as number) > 0) return given as number;
  throw mustBe(name, "a number of bytes above 0", given);
}
