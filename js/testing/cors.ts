/** CORS for all services: which pages may call the emulator, and read what of an answer. */

/**
 * What pages of other origins may do: call and read everything, without cookies; the same with cookies, which
 * browsers allow only where the page is named; or nothing, as with servers that know no CORS.
 */
export type Cors = "open" | "with cookies" | "none";

/** The answer to the preflight of a browser, or nothing if the request is none or the service knows none. */
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
      // By name and not `*`, which leaves out Authorization.
      "access-control-allow-headers": headers.get("access-control-request-headers") ?? "*",
      "access-control-max-age": "600",
      vary: "origin, access-control-request-method, access-control-request-headers",
    },
  });
}

/** The same answer, readable for the pages that may, with all its headers. */
export function withCorsHeaders(answer: Response, request: Request, cors: Cors): Response {
  if (cors === "none") return answer;
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(originHeaders(request, cors))) headers.set(name, value);
  const names = [...new Set(answer.headers.keys())].filter(
    (name) => name !== "connection" && name !== "set-cookie" && !name.startsWith("access-control-"),
  );
  if (names.length > 0) headers.set("access-control-expose-headers", names.join(", "));
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}

function originHeaders(request: Request, cors: Cors): Record<string, string> {
  const origin = request.headers.get("origin");
  if (cors === "open" || origin === null) return { "access-control-allow-origin": "*" };
  return { "access-control-allow-origin": origin, "access-control-allow-credentials": "true", vary: "origin" };
}
