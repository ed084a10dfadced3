/**
 * A proxy between a page and Salesforce, for an edge function or a server. Salesforce lets no page of another origin
 * log in or reach `/cometd`, and browsers keep its cookies from pages; so this stands between, on a host of yours.
 *
 * ```text
 *   page ──POST …/services/oauth2/token──> origin? caller? grant? ──the fields of the grant──> loginUrl
 *   page ──POST …/cometd/68.0────────────> origin? caller? channels? ──messages, token, cookies──> instanceUrl
 *   anything else ──> 404, 405; other origins ──> 403
 * ```
 *
 * It is no open proxy: it reaches two addresses that you name, for the pages that you name, with headers that it makes
 * itself. It keeps nothing: the cookies of a session travel in the client id that the page gets (`proxy/jar.ts`), so
 * every instance of an edge function can answer the next request.
 */
import { isFerryError } from "../../engine/errors.js";
import { checkOptionNames, checkTimeout, checkedUrl } from "../../client/options.js";
import type { FetchLike } from "../../platform/fetch.js";
import { text } from "./proxy/answers.js";
import { Cometd } from "./proxy/cometd.js";
import { GRANTS, Login } from "./proxy/login.js";
import { Upstream } from "./proxy/upstream.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** How a proxy works. Durations are in milliseconds. */
export interface SalesforceProxyOptions {
  /** The instance that events come from: `https://acme.my.salesforce.com`. No other one is ever reached. */
  instanceUrl: string;
  /** Where pages log in: `https://login.salesforce.com`, `https://test.salesforce.com`. @default `instanceUrl` */
  loginUrl?: string;
  /** The origins of the pages that may use it, as browsers write them: `https://app.example.com`. The proxy's own is one only if it is here. */
  allowedOrigins: readonly string[];
  /**
   * Who may use it, asked for every request. False answers 403. An `Origin` can be made up outside of browsers, so
   * this is what really tells callers apart. Needed with `accessToken`.
   *
   * @default whoever comes from an allowed origin
   */
  authorize?: (request: Request) => boolean | Promise<boolean>;
  /**
   * The token to use for a caller, so that pages need none and cannot log in: whatever they send is thrown away.
   * With `renew` Salesforce has refused the one before, and the request is sent once more with the new one.
   */
  accessToken?: (request: Request, renew: boolean) => string | Promise<string>;
  /**
   * What pages may subscribe to: `["/event/Order__e", "/topic/*"]`, or `"*"` for all that the token may see. Other
   * subscriptions are refused here. Needed with `accessToken`; with a list nothing can be published.
   *
   * @default "*"
   */
  allowedChannels?: readonly string[] | "*";
  /** How pages may get tokens. An empty list closes the login. @default `["password", "refresh_token", "authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]` */
  grants?: readonly string[];
  /** Key of the connected app, used in place of whatever `client_id` a page sends. */
  consumerKey?: string;
  /** Secret of the connected app, used in place of whatever `client_secret` a page sends; so no page needs to know it. */
  consumerSecret?: string;
  /** Where pages reach the proxy, if that is not the address of the requests: behind another proxy. `https://app.example.com/salesforce` */
  publicUrl?: string;
  /** Names of further headers that pages may send, for `authorize`. They go no further. @default none */
  allowedHeaders?: readonly string[];
  /** The largest request that is taken, in bytes. @default 65 536 */
  maxRequestBytes?: number;
  /** The largest answer that is passed on, in bytes; a larger one breaks off. @default 10 MiB */
  maxResponseBytes?: number;
  /** How long Salesforce may take to begin its answer. @default 10 000 */
  timeoutMs?: number;
  /** How long it may take for a poll, which it holds for 110 s. @default 130 000 */
  pollTimeoutMs?: number;
  /** Used in place of the global `fetch`. */
  fetch?: FetchLike;
  /** Called with what `authorize` or `accessToken` threw, and with what went wrong on the way to Salesforce. The page hears nothing of it but 500, 502 or 504. */
  onError?: (error: unknown, request: Request) => void;
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

const ROUTE = /^(.*)\/(?:services\/oauth2\/(token)|cometd\/(\d{2,3}\.\d)(\/(?:handshake|connect|disconnect))?\/?)$/;
const PAGE_HEADERS = ["authorization", "content-type"] as const;
const DEFAULT_GRANTS = GRANTS.filter((grant) => grant !== "client_credentials");

/**
 * A handler for `fetch` events, servers and route modules. Mount it at any path: a client in the page has that path
 * as its login URL (or as the instance of its session), and everything else follows.
 *
 * @example
 * export default { fetch: salesforceProxy({ instanceUrl: "https://acme.my.salesforce.com", allowedOrigins: ["https://app.example.com"] }) };
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for options that are missing, unknown, or would leave the proxy open.
 */
export function salesforceProxy(options: SalesforceProxyOptions): (request: Request) => Promise<Response> {
  checkOptionNames("salesforceProxy", options, NAMES);
  const { authorize, accessToken, allowedChannels, onError, publicUrl } = options;
  const origins = originsOf(options.allowedOrigins);
  const pageHeaders = [...PAGE_HEADERS, ...(options.allowedHeaders ?? []).map(headerName)].join(", ");
  for (const name of ["authorize", "accessToken", "fetch", "onError"] as const) {
    if (options[name] !== undefined && typeof options[name] !== "function")
      throw invalidArgument(`${name} is a function, not ${formatValue(options[name])}`);
  }
  for (const name of ["consumerKey", "consumerSecret"] as const) {
    // Not shown: it may be the secret, in the wrong form.
    if (options[name] !== undefined && (typeof options[name] !== "string" || options[name] === ""))
      throw invalidArgument(`${name} is a text`);
  }
  if (accessToken && (!authorize || allowedChannels === undefined)) {
    throw invalidArgument(
      "with accessToken the proxy lends its token to whoever asks: give authorize, which says who may, and allowedChannels, which says what they may see",
    );
  }
  const page = publicUrl === undefined ? undefined : baseUrl(publicUrl, "publicUrl");
  const instanceUrl = baseUrl(options.instanceUrl, "instanceUrl");
  const upstream = new Upstream({
    fetch: options.fetch,
    timeoutMs: milliseconds("timeoutMs", options.timeoutMs, 10_000),
    pollTimeoutMs: milliseconds("pollTimeoutMs", options.pollTimeoutMs, 130_000),
    maxResponseBytes: size("maxResponseBytes", options.maxResponseBytes, 10 * 1024 * 1024),
  });
  const maxRequestBytes = size("maxRequestBytes", options.maxRequestBytes, 64 * 1024);
  const grants = accessToken ? [] : grantsOf(options.grants);
  const login = new Login(upstream, {
    loginUrl: options.loginUrl === undefined ? instanceUrl : baseUrl(options.loginUrl, "loginUrl"),
    instanceUrl,
    grants,
    fixed: {
      ...(options.consumerKey !== undefined && { client_id: options.consumerKey }),
      ...(options.consumerSecret !== undefined && { client_secret: options.consumerSecret }),
    },
    maxRequestBytes,
  });
  const cometd = new Cometd(upstream, {
    instanceUrl,
    accessToken,
    channels: channelsOf(allowedChannels),
    maxRequestBytes,
  });

  return async (request) => {
    const origin = request.headers.get("origin");
    // A page of no name, such as one in a sandboxed frame, calls itself "null" and can be anybody's.
    if (origin === null || !origins.has(origin))
      return text(403, "this origin may not use the proxy", { vary: "origin" });
    return forPage(await answer(request), origin);
  };

  async function answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const [, mount = "", token, version, suffix = ""] = ROUTE.exec(url.pathname) ?? [];
    if ((token === undefined && version === undefined) || (token !== undefined && grants.length === 0))
      return text(404, "there is no such address here");
    if (request.method === "OPTIONS" && request.headers.has("access-control-request-method")) return preflight();
    if (request.method !== "POST") return text(405, "this address takes POST", { allow: "POST, OPTIONS" });
    try {
      if (authorize && (await authorize(request)) !== true) return text(403, "this caller may not use the proxy");
    } catch (error) {
      // Whoever cannot be asked has not said yes.
      onError?.(error, request);
      return text(500, "the caller could not be checked");
    }
    const fail = (error: unknown) => {
      // That a page goes is no trouble.
      if (!isFerryError(error, "ERR_ABORTED")) onError?.(error, request);
    };
    if (version !== undefined) return cometd.carry(request, version, suffix, fail);
    return login.carry(request, page ?? url.origin + mount, fail);
  }

  function preflight(): Response {
    return new Response(null, {
      status: 204,
      headers: {
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": pageHeaders,
        "access-control-max-age": "600",
      },
    });
  }
}

/** The same answer, readable for that one page. */
function forPage(answer: Response, origin: string): Response {
  const headers = new Headers(answer.headers);
  headers.set("access-control-allow-origin", origin);
  // Clients in pages always send what cookies there are; the proxy itself sets none.
  headers.set("access-control-allow-credentials", "true");
  if (headers.has("retry-after")) headers.set("access-control-expose-headers", "retry-after");
  headers.set("vary", "origin");
  return new Response(answer.body, { status: answer.status, headers });
}

function originsOf(given: unknown): Set<string> {
  if (!Array.isArray(given) || given.length === 0)
    throw invalidArgument('allowedOrigins is a list of origins such as "https://app.example.com", and not empty');
  for (const origin of given as unknown[]) {
    if (typeof origin !== "string" || !/^https?:\/\/[^/]+$/.test(origin) || new URL(origin).origin !== origin) {
      throw invalidArgument(
        `an allowed origin is written as browsers do, such as "https://app.example.com", without a path; not ${formatValue(origin)}`,
      );
    }
  }
  return new Set(given as string[]);
}

function headerName(name: unknown): string {
  if (typeof name === "string" && /^[\w!#$%&'*+.^`|~-]+$/.test(name)) return name.toLowerCase();
  throw invalidArgument(`allowedHeaders has names of headers, not ${formatValue(name)}`);
}

function channelsOf(given: unknown): readonly string[] | undefined {
  if (given === undefined || given === "*") return undefined;
  if (
    !Array.isArray(given) ||
    !given.every((channel) => typeof channel === "string" && channel.startsWith("/") && !channel.includes("?"))
  ) {
    throw invalidArgument(
      'allowedChannels is "*" or a list of channels such as "/event/Order__e" and "/topic/*", without filters',
    );
  }
  return [...(given as string[])];
}

function grantsOf(given: unknown = DEFAULT_GRANTS): readonly string[] {
  if (!Array.isArray(given)) throw invalidArgument("grants is a list of grant types");
  const unknown = (given as unknown[]).find((grant) => !GRANTS.includes(grant as string));
  if (unknown !== undefined)
    throw invalidArgument(`a grant is one of ${GRANTS.join(", ")}, not ${formatValue(unknown)}`);
  return [...(given as string[])];
}

/** Without a slash at the end. Over plain HTTP only to this machine: tokens and passwords go there. */
function baseUrl(given: unknown, name: string): string {
  const url = new URL(checkedUrl(given, name));
  if (url.search || url.hash) throw invalidArgument(`${name} must not have a query or a fragment`);
  if (url.protocol !== "https:" && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname))
    throw invalidArgument(`${name} must be https`);
  return url.origin + url.pathname.replace(/\/+$/, "");
}

function milliseconds(name: string, given: number | undefined, standard: number): number {
  checkTimeout(given, name);
  return given ?? standard;
}

function size(name: string, given: unknown, standard: number): number {
  if (given === undefined) return standard;
  if (Number.isSafeInteger(given) && (given as number) > 0) return given as number;
  throw invalidArgument(`${name} is a number of bytes, not ${formatValue(given)}`);
}
