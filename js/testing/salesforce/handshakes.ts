/** Handshakes: the start of a session, with its cookies. */
import type { Caller } from "./callers.js";
import { jsonResponse } from "./json.js";
import { accepted, type BayeuxMessage, denied, ERRORS, SUPPORTED_EXTENSIONS } from "./messages.js";
import { Session } from "./session.js";
import type { SessionTable } from "./session-table.js";
import type { StreamingDependencies } from "./streaming-rules.js";
import { randomText } from "./tokens.js";

const ROUTING_COOKIE_MS = 3 * 3_600_000;

/** The response to a handshake: a new session, or why there is none. */
export function answerHandshake(
  message: BayeuxMessage,
  { token, problem, browserCookie: browser }: Caller,
  { rules, overrides, now }: StreamingDependencies,
  sessions: SessionTable,
): Response {
  const refusal = overrides.refusalFor(message);
  if (refusal) return jsonResponse(200, [refusal]);
  if (!token) return jsonResponse(rules.unauthorizedStatus, [denied(message, problem!)]);
  const types: unknown[] = Array.isArray(message.supportedConnectionTypes) ? message.supportedConnectionTypes : [];
  if (!types.includes("long-polling"))
    return jsonResponse(200, [denied(message, ERRORS.connectionType(types.join(",")))]);
  const unexpired = sessions.unexpired();
  if (unexpired.length >= rules.maxClients) return jsonResponse(200, [denied(message, ERRORS.clients)]);

  const clientId = randomText(26).toLowerCase().replace(/[._]/g, "z");
  const isKnown = browser !== undefined && unexpired.some((session) => session.browserCookie === browser);
  const cookie = isKnown ? browser : randomText(22).replace(/[._]/g, "0");
  const acknowledges = rules.acknowledges && message.ext?.ack !== undefined && message.ext.ack !== false;
  const answer = jsonResponse(200, [
    accepted(message, {
      clientId,
      version: "1.0",
      minimumVersion: "1.0",
      supportedConnectionTypes: ["long-polling"],
      ext: { ...SUPPORTED_EXTENSIONS, ...(acknowledges && { ack: true }) },
    }),
  ]);
  if (!isKnown) answer.headers.append("set-cookie", `BAYEUX_BROWSER=${cookie}; Path=/; HttpOnly`);
  answer.headers.append("set-cookie", routingCookie(now()));
  // In a page a response cannot set cookies, so none can be required.
  const requiredCookie = rules.requireCookie && answer.headers.has("set-cookie") ? cookie : undefined;
  sessions.add(
    new Session({ clientId, username: token.username, browserCookie: requiredCookie, acknowledges }, rules, now()),
  );
  return answer;
}

/** The cookie by which the cluster sends later requests to the same server. */
export function routingCookie(now: number): string {
  return `sfdc-stream=!${randomText(40)}=; path=/; SameSite=None; Secure; Expires=${new Date(now + ROUTING_COOKIE_MS).toUTCString()}`;
}
