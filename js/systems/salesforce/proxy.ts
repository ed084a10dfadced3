/**
 * A proxy between a page and Salesforce, for an edge function or a server. Salesforce allows no page of another origin
 * to log in or to reach `/cometd`, and browsers withhold its cookies from pages. The proxy runs on a host of yours and
 * forwards both.
 *
 * ```text
 *   page ──POST …/services/oauth2/token──> origin? caller? grant? ────the fields of the grant──────> loginUrl
 *   page ──POST …/cometd/68.0────────────> origin? caller? channels? ──messages, token, cookies──> instanceUrl
 *   other paths ──> 404; other methods ──> 405; other origins and callers ──> 403
 * ```
 *
 * It is not an open proxy: it reaches two URLs from its options, for the pages in its options, with headers that it
 * builds itself. It keeps no state: the cookies of a session travel in the client id that the page gets
 * (`proxy/session-cookies.ts`), so any instance of an edge function can answer the next request.
 */
import { isFerryError } from "../../engine/errors.js";
import { CometdProxy } from "./proxy/cometd.js";
import { LoginProxy } from "./proxy/login.js";
import { proxySettings, type SalesforceProxyOptions } from "./proxy/options.js";
import { textResponse } from "./proxy/responses.js";
import { Upstream } from "./proxy/upstream.js";

const ROUTE = /^(.*)\/(?:services\/oauth2\/(token)|cometd\/(\d{2,3}\.\d)(\/(?:handshake|connect|disconnect))?\/?)$/;

/**
 * Creates a handler for `fetch` events, servers and route modules. It can be mounted at any path. A client in the page
 * uses the URL of that path as its `loginUrl`, or as the `instanceUrl` of its session.
 *
 * @example
 * const proxy = salesforceProxy({
 *   instanceUrl: "https://acme.my.salesforce.com",
 *   allowedOrigins: ["https://app.example.com"],
 * });
 * export default { fetch: proxy };
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for options that are missing, unknown or invalid, or that would leave the
 * proxy open
 */
export function salesforceProxy(options: SalesforceProxyOptions): (request: Request) => Promise<Response> {
  const settings = proxySettings(options);
  const { authorize, onError } = options;
  const upstream = new Upstream(settings.upstream);
  const login = new LoginProxy(upstream, settings.login);
  const cometd = new CometdProxy(upstream, settings.cometd);
  const canLogIn = settings.login.grants.length > 0;

  return async (request) => {
    const origin = request.headers.get("origin");
    // Sandboxed frames and local files send "null", so that origin could be anybody's.
    if (origin === null || !settings.origins.has(origin))
      return textResponse(403, "the proxy does not allow this origin", { vary: "origin" });
    return withCors(await respond(request), origin);
  };

  async function respond(request: Request): Promise<Response> {
    /** Calls `onError`, whose own errors must not cost the page its answer. */
    const tell = (error: unknown) => {
      try {
        const result: unknown = onError?.(error, request);
        if (result instanceof Promise) result.catch(() => undefined);
      } catch {
        // There is nobody to tell.
      }
    };
    const url = new URL(request.url);
    const [, mountPath = "", token, version, suffix = ""] = ROUTE.exec(url.pathname) ?? [];
    if ((token === undefined && version === undefined) || (token !== undefined && !canLogIn))
      return textResponse(404, "not found");
    if (request.method === "OPTIONS" && request.headers.has("access-control-request-method"))
      return preflight(settings.pageHeaders);
    if (request.method !== "POST") return textResponse(405, "only POST is allowed", { allow: "POST, OPTIONS" });
    try {
      if (authorize && (await authorize(request)) !== true)
        return textResponse(403, "the proxy does not allow this caller");
    } catch (error) {
      // An error is no permission.
      tell(error);
      return textResponse(500, "authorize failed");
    }
    const reportError = (error: unknown) => {
      // Pages abort their polls when they are closed.
      if (!isFerryError(error, "ERR_ABORTED")) tell(error);
    };
    if (version !== undefined) return cometd.forward(request, version, suffix, reportError);
    return login.forward(request, settings.publicUrl ?? url.origin + mountPath, reportError);
  }
}

function preflight(pageHeaders: string): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "POST",
      "access-control-allow-headers": pageHeaders,
      "access-control-max-age": "600",
    },
  });
}

/** Allows the page of this origin to read the response. */
function withCors(response: Response, origin: string): Response {
  const headers = new Headers(response.headers);
  headers.set("access-control-allow-origin", origin);
  // Clients in pages send requests with credentials. The proxy itself sets no cookies.
  headers.set("access-control-allow-credentials", "true");
  if (headers.has("retry-after")) headers.set("access-control-expose-headers", "retry-after");
  headers.set("vary", "origin");
  return new Response(response.body, { status: response.status, headers });
}
