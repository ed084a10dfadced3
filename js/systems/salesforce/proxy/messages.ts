/** Reads and rewrites Bayeux messages on their way through the proxy. */
import { parseLossless } from "./lossless-json.js";
import { decodeClientId, encodeClientId } from "./session-cookies.js";

export interface BayeuxMessage {
  readonly channel?: unknown;
  readonly id?: unknown;
  readonly clientId?: unknown;
  readonly subscription?: unknown;
  readonly advice?: unknown;
  readonly [field: string]: unknown;
}

/** Messages, and a function that writes them again without changing a number. */
export interface ParsedMessages {
  readonly messages: BayeuxMessage[];
  write(value: unknown): string;
}

/** A request to Salesforce, without the token. */
export interface OutgoingRequest {
  readonly body: string;
  readonly cookies: string | undefined;
  readonly isHandshake: boolean;
  /** Whether Salesforce may hold the request. */
  readonly isPoll: boolean;
}

/** Deeper messages cannot be written again: the JSON writer of JavaScript calls itself for each level. */
const MAX_DEPTH = 200;

/** The messages of a body; undefined if it is too deep, or is not one Bayeux message or a non-empty array of them. */
export function parseMessages(body: string): ParsedMessages | undefined {
  if (depthOf(body) > MAX_DEPTH) return undefined;
  try {
    const { value, write } = parseLossless(body);
    const messages = [value].flat();
    const areMessages =
      messages.length > 0 &&
      messages.every((message) => typeof message === "object" && message !== null && !Array.isArray(message));
    return areMessages ? { messages: messages as BayeuxMessage[], write } : undefined;
  } catch {
    return undefined;
  }
}

/** How deeply arrays and objects are nested in a JSON text. Of other texts, any number. */
function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[{\]}]/gs)) {
    if (token === "[" || token === "{") deepest = Math.max(deepest, ++depth);
    else if (token === "]" || token === "}") depth--;
  }
  return deepest;
}

/** The request for these messages; undefined if they are of several sessions, or their client id is invalid. */
export function toOutgoing(
  messages: readonly BayeuxMessage[],
  write: (value: unknown) => string,
): OutgoingRequest | undefined {
  const ids = new Set(messages.map(({ clientId }) => clientId).filter((id) => id !== undefined && id !== null));
  const [id] = ids;
  if (ids.size > 1 || (id !== undefined && typeof id !== "string")) return undefined;
  const session = id === undefined ? undefined : decodeClientId(id);
  if (id !== undefined && !session) return undefined;
  const rewritten = messages.map((message) =>
    message.clientId === id && session ? { ...message, clientId: session.clientId } : message,
  );
  const channels = messages.map(({ channel }) => channel);
  return {
    body: write(rewritten),
    cookies: session?.cookies,
    isHandshake: channels.includes("/meta/handshake"),
    isPoll: channels.includes("/meta/connect"),
  };
}

/** The same message; a connect then is not held, because the replies to refused messages wait for the response. */
export function withoutHold(message: BayeuxMessage): BayeuxMessage {
  if (message.channel !== "/meta/connect") return message;
  return { ...message, advice: { ...(message.advice as object | undefined), timeout: 0 } };
}

/** The response to a handshake, with the cookies in its client id. */
export function withCookies(body: string, cookies: string | undefined): string {
  const parsed = parseMessages(body);
  if (!parsed || cookies === undefined) return body;
  const { messages, write } = parsed;
  return write(
    messages.map((message) =>
      message.channel === "/meta/handshake" && typeof message.clientId === "string"
        ? { ...message, clientId: encodeClientId({ clientId: message.clientId, cookies }) }
        : message,
    ),
  );
}

/** The response with the replies to refused messages in front. */
export function withRefusals(body: string, refusals: readonly string[]): string {
  const remainder = /^\s*\[\s*(.*)$/s.exec(body)?.[1];
  if (refusals.length === 0 || remainder === undefined) return body;
  return `[${refusals.join(",")}${remainder.startsWith("]") ? "" : ","}${remainder}`;
}

/** Whether a response refuses the token, and contains no event that would be lost if the request was sent again. */
export function refusesToken(status: number, body: string): boolean {
  if (status === 401) return true;
  const messages = parseMessages(body)?.messages as
    | { successful?: unknown; error?: unknown; data?: unknown; ext?: { sfdc?: { failureReason?: unknown } } }[]
    | undefined;
  if (!messages || messages.some(({ data }) => data !== undefined)) return false;
  return messages.some(
    ({ successful, error, ext }) =>
      successful === false && String(ext?.sfdc?.failureReason ?? error).startsWith("401::"),
  );
}
