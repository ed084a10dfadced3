/** Responses that the proxy builds itself. No cache may keep them. */
const COMMON_HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" } as const;

/** A plain text response. */
export function textResponse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, {
    status,
    headers: { ...COMMON_HEADERS, "content-type": "text/plain; charset=utf-8", ...headers },
  });
}

/** A JSON response, from text or from a stream of bytes. */
export function jsonResponse(
  status: number,
  body: string | ReadableStream<Uint8Array> | null,
  retryAfter?: string | null,
): Response {
  return new Response(body, {
    status,
    headers: {
      ...COMMON_HEADERS,
      "content-type": "application/json; charset=utf-8",
      ...(retryAfter && { "retry-after": retryAfter }),
    },
  });
}
