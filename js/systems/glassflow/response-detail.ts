/** What the service says in the body of an error response. */

const MAX_DETAIL_LENGTH = 200;

/** The message of a response, on one line of limited length. The service sends `{ "detail": "…" }`. */
export function detailOf(body: Uint8Array | undefined): string {
  if (!body) return "";
  const text = new TextDecoder().decode(body.subarray(0, 16 * 1024));
  let message: unknown;
  try {
    const { detail, msg } = JSON.parse(text) as { detail?: unknown; msg?: unknown };
    message = detail ?? msg;
  } catch {
    // Not JSON: the text is the message.
  }
  const line = (typeof message === "string" ? message : text).replace(/[\p{C}\s]+/gu, " ").trim();
  return line.length > MAX_DETAIL_LENGTH ? `${line.slice(0, MAX_DETAIL_LENGTH - 1)}…` : line;
}
