/** Answers of the proxy itself. None may be kept by anybody on the way. */
const COMMON = { "cache-control": "no-store", "x-content-type-options": "nosniff" } as const;

/** A few plain words. */
export function text(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, {
    status,
    headers: { ...COMMON, "content-type": "text/plain; charset=utf-8", ...headers },
  });
}

/** JSON, as text or as a stream of bytes. */
export function json(
  status: number,
  body: string | ReadableStream<Uint8Array> | null,
  retryAfter?: string | null,
): Response {
  return new Response(body, {
    status,
    headers: {
      ...COMMON,
      "content-type": "application/json; charset=utf-8",
      ...(retryAfter && { "retry-after": retryAfter }),
    },
  });
}
