/** The `fetch` of a stream: cookies in browsers, no silent resending in Deno. */
import type { FetchLike } from "../../platform/fetch.js";
import type { RequestCredentials } from "../../platform/web-types.js";

/** The `fetch` to use. The global one is looked up at each call because tests and frameworks replace it. */
export function streamFetch(fetch: FetchLike | undefined, credentials: RequestCredentials = "include"): FetchLike {
  if (fetch) return fetch;
  if ("Deno" in globalThis) return fetchWithoutResend;
  // Asked at a request: when `Request` is first named, Node loads all that it has of `fetch`, which takes 20 ms.
  return (url, init) => globalThis.fetch(url, platformKeepsCookies() ? { ...init, credentials } : init);
}

let keepsCookies: boolean | undefined;

/** Browsers keep cookies, and no script can read or set the `cookie` header. On all other platforms the client does. */
export function platformKeepsCookies(): boolean {
  keepsCookies ??= !new Request("https://localhost/", { headers: { cookie: "a=b" } }).headers.has("cookie");
  return keepsCookies;
}

/**
 * Deno silently sends a request again if its connection breaks and its body is in memory (seen in 2.9). The lost
 * response is then lost for good, because the client does not know about it. Deno cannot send a body again that is a
 * stream.
 */
const fetchWithoutResend: FetchLike = async (url, init) => {
  // A login can be sent twice without harm, and some servers do not accept forms in chunks.
  if (!(init.headers as Headers).get("content-type")?.startsWith("application/json")) return fetch(url, init);
  const bytes = init.body as Uint8Array;
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  return fetch(url, { ...init, body, duplex: "half" } as RequestInit);
};
