/** The headers of a request: those of the engine, and those of the application. */
import { type HeadersOption, headerLines } from "../../client/options.js";
import type { Secrets } from "../../client/redact.js";
import type { RequestPlan } from "../../platform/fetch.js";

/**
 * Adds the headers of the user. Those of the engine win, because it knows the token; cookies of both are sent, where one
 * of the engine has precedence over one of the same name.
 */
export function withHeaders(
  plan: RequestPlan,
  headers: HeadersOption,
  secrets: Secrets,
): RequestPlan | Promise<RequestPlan> {
  const change = (lines: string): RequestPlan => {
    const merged = cookie === undefined ? lines : withCookies(lines, cookie);
    secrets.addHeaders(merged);
    return { ...plan, headers: merged };
  };
  const { cookie, ...engineHeaders } = Object.fromEntries(
    plan.headers.split("\n").map((line) => line.split(/: (.*)/s)),
  ) as Record<string, string>;
  try {
    const lines = headerLines([headers], engineHeaders);
    return typeof lines === "string" ? change(lines) : lines.then(change);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Adds the cookies of the server to header lines that may have cookies of the user. */
function withCookies(lines: string, cookies: string): string {
  const nameOf = (cookie: string) => cookie.split("=", 1)[0]!.trim();
  const ofServer = new Set(cookies.split("; ").map(nameOf));
  let ofUser: string[] = [];
  const others = lines.split("\n").filter((line) => {
    if (!line.startsWith("cookie: ")) return true;
    ofUser = line
      .slice("cookie: ".length)
      .split(/; */)
      .filter((cookie) => !ofServer.has(nameOf(cookie)));
    return false;
  });
  return [...others, `cookie: ${[...ofUser, cookies].join("; ")}`].join("\n");
}
