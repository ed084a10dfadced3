/** CORS for all services: which pages may call the emulator, and which headers of a response they may read. */

/**
 * What pages of other origins may do. `"open"`: call and read everything, without cookies. `"with cookies"`: the same
 * with cookies, which browsers allow only if the response names the origin. `"none"`: nothing, as with a server without
 * CORS.
 */
export type Cors = "open" | "with cookies" | "none";

/** The response to a CORS preflight; undefined if the request is none or the service has no CORS. */
export function preflightResponse(request: Request, cors: Cors): Response | undefined {
  const { headers } = request;
  const method = headers.get("access-control-request-method");
  if (cors === "none" || request.method !== "OPTIONS" || method === null || headers.has("webhook-request-origin"))
    return undefined;
  return new Response(null, {
    status: 204,
    headers: {
      ...originHeaders(request, cors),
      "access-control-allow-methods": method,
      // By name, because `*` excludes Authorization.
      "access-control-allow-headers": headers.get("access-control-request-headers") ?? "*",
      "access-control-max-age": "600",
      vary: "origin, access-control-request-method, access-control-request-headers",
    },
  });
}

/** The same response, readable with all its headers by the pages that `cors` admits. */
export function withCorsHeaders(response: Response, request: Request, cors: Cors): Response {
  if (cors === "none") return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(originHeaders(request, cors))) headers.set(name, value);
  const names = [...new Set(response.headers.keys())].filter(
    (name) => name !== "connection" && name !== "set-cookie" && !name.startsWith("access-control-"),
  );
  if (names.length > 0) headers.set("access-control-expose-headers", names.join(", "));
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

function originHeaders(request: Request, cors: Cors): Record<string, string> {
  const origin = request.headers.get("origin");
  if (cors === "open" || origin === null) return { "access-control-allow-origin": "*" };
  return { "access-control-allow-origin": origin, "access-control-allow-credentials": "true", vary: "origin" };
}
