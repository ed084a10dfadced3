/** A JSON response with the headers of Salesforce. */
export function jsonResponse(status: number, value: unknown, headers: Record<string, string> = {}): Response {
  return jsonTextResponse(status, JSON.stringify(value), headers);
}

/** The same for JSON text. */
export function jsonTextResponse(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(text, {
    status,
    headers: { "content-type": "application/json;charset=UTF-8", "cache-control": "no-store", ...headers },
  });
}
