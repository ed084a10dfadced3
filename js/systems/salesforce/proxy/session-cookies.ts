/**
 * The cookies of a session, in the client id. Salesforce binds a session to cookies that a page on another site often
 * may not keep; every message of a session has its client id with it, which clients take as it is. So the page
 * gets `<client id>~<cookies>`, and nobody has to remember anything.
 *
 * Whoever makes such an id up gets no further than with cookies of their own: two names, and nothing but cookies.
 */

/** A client id of Salesforce and the `Cookie` header of its session. */
export interface JarredId {
  clientId: string;
  cookies: string | undefined;
}

const SEPARATOR = "~";
const NAMES = ["BAYEUX_BROWSER", "sfdc-stream"] as const;
/** What RFC 6265 lets a value have in it. */
const VALUE = /^[!#-+\--:<-[\]-~]{1,1024}$/;
const MAX_ID = 6000;

/** What a page gets to see. */
export function jarred({ clientId, cookies }: JarredId): string {
  return cookies === undefined
    ? clientId
    : `${clientId}${SEPARATOR}${btoa(cookies).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

/** What Salesforce gets to see, or undefined for an id that was not made here. */
export function unjarred(id: string): JarredId | undefined {
  const at = id.indexOf(SEPARATOR);
  if (at < 0) return { clientId: id, cookies: undefined };
  if (id.length > MAX_ID) return undefined;
  try {
    const pairs = atob(
      id
        .slice(at + 1)
        .replaceAll("-", "+")
        .replaceAll("_", "/"),
    ).split("; ");
    const areCookies = pairs.every((pair) =>
      NAMES.some((name) => pair.startsWith(`${name}=`) && VALUE.test(pair.slice(name.length + 1))),
    );
    return areCookies ? { clientId: id.slice(0, at), cookies: pairs.join("; ") } : undefined;
  } catch {
    return undefined;
  }
}

/** The cookies of a session after an answer: those that it sets, and those from before that it leaves as they are. */
export function cookiesAfter(headers: Headers, before: string | undefined): string | undefined {
  // Old workers have them in one line.
  const lines = typeof headers.getSetCookie === "function" ? headers.getSetCookie() : [headers.get("set-cookie") ?? ""];
  const pairs = NAMES.flatMap((name) => {
    const isOurs = new RegExp(`(?:^|[,;]\\s*)${name}=([^;,]*)`);
    const value = [before ?? "", ...lines]
      .map((line) => isOurs.exec(line)?.[1])
      .findLast((found) => found !== undefined);
    return value !== undefined && VALUE.test(value) ? [`${name}=${value}`] : [];
  });
  return pairs.length > 0 ? pairs.join("; ") : undefined;
}
