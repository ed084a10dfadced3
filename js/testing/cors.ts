/** CORS for all services: every page may call the emulator and read everything of an answer. */

/** The answer to the preflight of a browser, or nothing if the request is none. */
export function preflight(request: Request): Response | undefined {
  const { headers } = request;
  const method = headers.get("access-control-request-method");
  if (request.method !== "OPTIONS" || method === null || headers.has("webhook-request-origin")) return undefined;
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": method,
      // By name and not `*`, which leaves out Authorization.
      "access-control-allow-headers": headers.get("access-control-request-headers") ?? "*",
      "access-control-max-age": "600",
      vary: "access-control-request-method, access-control-request-headers",
    },
  });
}

/** The same answer, readable for every page with all its headers. */
export function readable(answer: Response): Response {
  const headers = new Headers(answer.headers);
  headers.set("access-control-allow-origin", "*");
  const names = [...new Set(answer.headers.keys())].filter((name) => name !== "connection" && !name.startsWith("access-control-"));
  if (names.length > 0) headers.set("access-control-expose-headers", names.join(", "));
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}
