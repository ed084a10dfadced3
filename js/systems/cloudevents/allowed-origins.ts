/** The origins that may deliver to a webhook: senders by their names, pages by their URLs. */
import { mustBe } from "../../engine/messages.js";

/** Host names, URLs, or `"*"` for all. */
export type AllowedOrigins = "*" | readonly string[];

const EXPECTED = '"*" or an array of host names and URLs';

/**
 * A function that tells whether an origin is allowed: a host name or a URL. Two URLs must have the same scheme, host and
 * port; if one of the two is a host name, only the hosts are compared.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for entries that are neither.
 */
export function allowedOrigin(allowed: AllowedOrigins | undefined): (origin: string) => boolean {
  if (allowed === undefined) return () => false;
  if (allowed === "*" || (Array.isArray(allowed) && allowed.includes("*"))) return () => true;
  if (!Array.isArray(allowed)) throw mustBe("allowedOrigins", EXPECTED, allowed);
  const entries = allowed.map((entry) => {
    const origin = typeof entry === "string" ? parse(entry) : undefined;
    if (!origin) throw mustBe("allowedOrigins", EXPECTED, entry);
    return origin;
  });
  return (text) => {
    const origin = parse(text);
    return origin !== undefined && entries.some((entry) => isSame(entry, origin));
  };
}

interface Origin {
  host: string;
  /** Scheme, host and port, if it was a URL. */
  url: string | undefined;
}

function isSame(a: Origin, b: Origin): boolean {
  return a.url !== undefined && b.url !== undefined ? a.url === b.url : a.host === b.host;
}

/** `undefined` for text that is neither a host name nor a URL. */
function parse(text: string): Origin | undefined {
  const isUrl = text.includes("://");
  try {
    const { hostname, protocol, host } = new URL(isUrl ? text : `http://${text}`);
    return hostname === "" ? undefined : { host: hostname, url: isUrl ? `${protocol}//${host}` : undefined };
  } catch {
    return undefined;
  }
}
