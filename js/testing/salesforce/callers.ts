/** Who sends a request to the Streaming API, and whether a session is theirs. */
import { type BayeuxMessage, CONNECT, ERRORS, refused, type Reply } from "./messages.js";
import type { Session } from "./session.js";
import type { AccessToken, TokenStore } from "./tokens.js";

/** The sender of a request, from its headers. */
export interface Caller {
  readonly token: AccessToken | undefined;
  /** The error for a missing or invalid token. */
  readonly problem: string | undefined;
  /** Value of the session cookie. */
  readonly browserCookie: string | undefined;
}

/** Who sends a request. */
export function identifyCaller({ headers }: Request, tokens: TokenStore): Caller {
  const authorization = headers.get("authorization");
  const token = tokens.find(authorization ?? "");
  const [, browser] = /(?:^|;)\s*BAYEUX_BROWSER=([^;]*)/.exec(headers.get("cookie") ?? "") ?? [];
  return {
    token,
    problem: token ? undefined : authorization ? ERRORS.badToken : ERRORS.noToken,
    browserCookie: browser,
  };
}

/** The reply to a message whose token, session or cookie is not accepted. */
export function rejection(
  message: BayeuxMessage,
  session: Session | undefined,
  { token, problem, browserCookie: browser }: Caller,
): Reply | undefined {
  if (problem !== undefined) return refused(message, problem);
  if (!session) {
    const isLost = message.channel === CONNECT || message.clientId !== undefined;
    return refused(message, isLost ? ERRORS.unknownClient : ERRORS.noHandshake, "handshake");
  }
  if (session.browserCookie !== undefined && browser === undefined)
    return refused(message, ERRORS.noCookie(session.clientId));
  return token!.username === session.username ? undefined : refused(message, ERRORS.anotherUser);
}
