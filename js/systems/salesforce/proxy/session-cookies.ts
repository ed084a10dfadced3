/**
 * Carries the cookies of a session in its client id. Salesforce binds a session to cookies that browsers often keep
 * from pages of another site. Clients return the client id unchanged in every message, so the page gets `<client
 * id>~<cookies>` and the proxy needs no state.
 *
 * A caller who invents such an id gains nothing: only two cookies are accepted, and a caller may send those anyway.
 */

/** The client id that Salesforce issued, and the `Cookie` header of its session. */
export interface SessionId {
  clientId: string;
  cookies: string | undefined;
}

const SEPARATOR = "~";
const NAMES = ["BAYEUX_BROWSER", "sfdc-stream"] as const;
/** Characters of a cookie value (RFC 6265, section 4.1.1). */
const VALUE = /^[!#-+\--:<-[\]-~]{1,1024}$/;
const MAX_ID_LENGTH = 6000;

/** The client id for the page. */
export function encodeClientId({ clientId, cookies }: SessionId): string {
  return cookies === undefined
    ? clientId
    : `${clientId}${SEPARATOR}${btoa(cookies).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

/** The client id and cookies for Salesforce, or undefined if the proxy did not issue this id. */
export function decodeClientId(id: string): SessionId | undefined {
  const at = id.indexOf(SEPARATOR);
  if (at < 0) return { clientId: id, cookies: undefined };
  if (id.length > MAX_ID_LENGTH) return undefined;
  try {
    const encoded = id.slice(at + 1);
    const pairs = atob(encoded.replaceAll("-", "+").replaceAll("_", "/")).split("; ");
    const areCookies = pairs.every((pair) =>
      NAMES.some((name) => pair.startsWith(`${name}=`) && VALUE.test(pair.slice(name.length + 1))),
    );
    return areCookies ? { clientId: id.slice(0, at), cookies: pairs.join("; ") } : undefined;
  } catch {
    return undefined;
  }
}

/** The cookies of a session after a response: those that it sets, and the earlier ones that it leaves unchanged. */
export function cookiesAfter(headers: Headers, before: string | undefined): string | undefined {
  // Older runtimes join them in one line.
  const lines = typeof headers.getSetCookie === "function" ? headers.getSetCookie() : [headers.get("set-cookie") ?? ""];
  const pairs = NAMES.flatMap((name) => {
    const pattern = new RegExp(`(?:^|[,;]\\s*)${name}=([^;,]*)`);
    const value = [before ?? "", ...lines]
      .map((line) => pattern.exec(line)?.[1])
      .findLast((found) => found !== undefined);
    return value !== undefined && VALUE.test(value) ? [`${name}=${value}`] : [];
  });
  return pairs.length > 0 ? pairs.join("; ") : undefined;
}
