/** The `fetch` of a stream: cookies in browsers, no silent resending in Deno. */
import type { FetchLike } from "../../platform/fetch.js";

/** The `fetch` to use; undefined for the global one without changes. */
export function streamFetch(
  fetch: FetchLike | undefined,
  credentials: RequestCredentials = "include",
): FetchLike | undefined {
  if (fetch) return fetch;
  if (platformKeepsCookies()) return fetchWithCookies(credentials);
  return "Deno" in globalThis ? fetchWithoutResend : undefined;
}

let keepsCookies: boolean | undefined;

/** Browsers keep cookies, and no script can read or set the `cookie` header. On all other platforms the client does. */
export function platformKeepsCookies(): boolean {
  keepsCookies ??= !new Request("https://localhost/", { headers: { cookie: "a=b" } }).headers.has("cookie");
  return keepsCookies;
}

/** The global `fetch`, looked up at each call because tests and frameworks replace it. */
function fetchWithCookies(credentials: RequestCredentials): FetchLike {
  return (request) => fetch(new Request(request, { credentials }));
}

/**
 * Deno silently sends a request again if its connection breaks and its body is in memory (seen in 2.9). The lost
 * response is then lost for good, because the client does not know about it. Deno cannot send a body again that is a
 * stream.
 */
const fetchWithoutResend: FetchLike = async (request) => {
  // A login can be sent twice without harm, and some servers do not accept forms in chunks.
  if (!request.headers.get("content-type")?.startsWith("application/json")) return fetch(request);
  const bytes = new Uint8Array(await request.arrayBuffer());
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  const { url, headers, signal } = request;
  return fetch(url, { method: "POST", headers, signal, redirect: "manual", body, duplex: "half" } as RequestInit);
};
