/** What the platform does for a client by itself. */
import type { FetchLike } from "../transport.js";

let keepsCookies: boolean | undefined;

/** Browsers keep cookies, and let no script see or send any; all other platforms leave that to us. */
export function platformKeepsCookies(): boolean {
  return (keepsCookies ??= !new Request("https://localhost/", { headers: { cookie: "a=b" } }).headers.has("cookie"));
}

/** The global `fetch` with the cookies of the server's site, where the platform has them. Asked for at each call: tests and frameworks replace it. */
export function fetchWithCookies(credentials: RequestCredentials): FetchLike {
  return (request) => fetch(new Request(request, { credentials }));
}
