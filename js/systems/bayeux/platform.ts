/** What the platform does for a client by itself. */
import type { FetchLike } from "../../platform/fetch.js";

let keepsCookies: boolean | undefined;

/** Browsers keep cookies, and let no script see or send any; all other platforms leave that to us. */
export function platformKeepsCookies(): boolean {
  return (keepsCookies ??= !new Request("https://localhost/", { headers: { cookie: "a=b" } }).headers.has("cookie"));
}

/** The global `fetch` with the cookies of the server's site, where the platform has them. Asked for at each call: tests and frameworks replace it. */
export function fetchWithCookies(credentials: RequestCredentials): FetchLike {
  return (request) => fetch(new Request(request, { credentials }));
}

/**
 * Deno sends a request whose connection breaks a second time without a word, if it has the body at hand (seen in 2.9): the answer that was lost
 * is then lost for good, because nobody knows of it. A body that is a stream it cannot send twice.
 */
export const sentOnce: FetchLike = async (request) => {
  // A login leaves no trace that matters, and some servers take no forms in chunks.
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

/** Whether this is Deno. */
export function isDeno(): boolean {
  return "Deno" in globalThis;
}
