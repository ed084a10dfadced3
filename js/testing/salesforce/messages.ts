/** Parses Bayeux messages and builds the replies, with the error texts of Salesforce. Pure functions. */

/** A message of a client. Only that it is an object has been checked. */
export interface BayeuxMessage {
  /** The channel. */
  readonly channel?: unknown;
  /** The id of the message. */
  readonly id?: unknown;
  /** The id of the session. */
  readonly clientId?: unknown;
  /** The channel that a client subscribes to or unsubscribes from. */
  readonly subscription?: unknown;
  /** The transport of a `/meta/connect`. */
  readonly connectionType?: unknown;
  /** The transports of a `/meta/handshake`. */
  readonly supportedConnectionTypes?: unknown;
  /** What the client asks of the server. */
  readonly advice?: {
    /** How long a poll may be held, in milliseconds. */
    readonly timeout?: unknown;
  } | null;
  /** Extensions. */
  readonly ext?: {
    /** Replay ids by channel. */
    readonly replay?: unknown;
    /** The number of the last acknowledged batch. */
    readonly ack?: unknown;
  } | null;
  /** The data of a published message. */
  readonly data?: unknown;
  readonly [field: string]: unknown;
}

/** The reply to one message. */
export type Reply = Record<string, unknown> & { successful: boolean };

/**
 * Where a `/meta/disconnect` that nobody asked for stands, with which Salesforce ends a session every day: before the
 * replies, behind them, or in their place.
 */
export type Goodbye = "first" | "last" | "alone";

/** The replies as JSON texts, with the goodbye of the server. */
export function replyTexts(replies: readonly Reply[], goodbye: Goodbye | undefined): string[] {
  const texts = goodbye === "alone" ? [] : replies.map((reply) => JSON.stringify(reply));
  const disconnect = JSON.stringify({ channel: DISCONNECT });
  if (goodbye === "last") return [...texts, disconnect];
  return goodbye ? [disconnect, ...texts] : texts;
}

export const HANDSHAKE = "/meta/handshake";
export const CONNECT = "/meta/connect";
export const SUBSCRIBE = "/meta/subscribe";
export const UNSUBSCRIBE = "/meta/unsubscribe";
export const DISCONNECT = "/meta/disconnect";

/** The extensions that every handshake reply announces. */
export const SUPPORTED_EXTENSIONS = { replay: true, "payload.format": true } as const;

/** The oldest supported API version. */
const OLDEST_VERSION = 37;
const URI_EXAMPLE = "URI format: '/cometd/68.0'";

/** The error texts, as in the documentation and logs of Salesforce. */
export const ERRORS = {
  noToken: "401::Request requires authentication",
  badToken: "401::Authentication invalid",
  unknownClient: "403::Unknown client",
  noHandshake: "403::Client has not completed handshake",
  refusedHandshake: "403::Handshake denied",
  clients: "403::Organization concurrent user limit exceeded",
  deliveries: "403::Organization total events daily limit exceeded",
  restricted: "403::Restricted channel",
  publish: "403:denied_by_security_policy:publish_denied",
  noChannel: "400::Channel name not specified",
  noSlash: "400::Channel subscriptions must start with a leading '/'",
  anotherUser: "400::Authenticated user id does not match the session's user id",
  tooLarge: "413::Maximum Request Size Exceeded",
  noCookie: (clientId: string): string =>
    `400::Client ${clientId} has established a session, but no BAYEUX_BROWSER cookie present`,
  connectionType: (name: unknown): string => `400::Invalid connection type ${String(name)}`,
  unknownChannel: (channel: string): string =>
    `400::The channel you requested to subscribe to does not exist {${channel}}`,
  // Two spaces, as in the logs.
  expiredId: (id: string): string =>
    `400::The replayId {${id}} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.`,
  noReplayId: (channel: string, map: object): string =>
    `400::The replayId for channel {${channel}} wasn't found using the provided replay ID map {{${Object.entries(map)
      .map(([key, id]) => `${key}=${id}`)
      .join(", ")}}}. ` +
    "Ensure that the channel name you provided in the replay map is valid and matches the channel name used for subscribing.",
} as const;

/** The error for the version in the address, or undefined if it is supported. */
export function versionError(version: string | undefined): string | undefined {
  if (version === undefined) return `400::API version in the URI is mandatory. ${URI_EXAMPLE}`;
  const isSupported = /^\d{2,3}\.0$/.test(version) && Number(version) >= OLDEST_VERSION;
  return isSupported
    ? undefined
    : `400::Unsupported API version. Only API versions '${OLDEST_VERSION}.0' and later are supported. ${URI_EXAMPLE}`;
}

/** The messages of a body: an array of objects, one object, or either in a form. Undefined for anything else. */
export function parseMessages(body: string, contentType: string): BayeuxMessage[] | undefined {
  try {
    const texts = /^application\/x-www-form-urlencoded\b/i.test(contentType)
      ? new URLSearchParams(body).getAll("message")
      : [body];
    const messages = texts.flatMap((text) => JSON.parse(text) as unknown);
    const areMessages =
      messages.length > 0 &&
      messages.every((message) => typeof message === "object" && message !== null && !Array.isArray(message));
    return areMessages ? (messages as BayeuxMessage[]) : undefined;
  } catch {
    return undefined;
  }
}

/** A successful reply. */
export function accepted(message: BayeuxMessage, more: Record<string, unknown> = {}): Reply {
  return { ...echoFields(message), successful: true, ...more };
}

/** A failed reply. To a connect or handshake it includes advice. */
export function refused(
  message: BayeuxMessage,
  error: string,
  reconnect: "none" | "retry" | "handshake" = "none",
  failureReason?: string,
): Reply {
  const { channel } = message;
  return {
    ...echoFields(message),
    successful: false,
    error,
    ...(channel === CONNECT || channel === HANDSHAKE ? { advice: { reconnect, interval: 0 } } : {}),
    ...(channel === HANDSHAKE || failureReason !== undefined
      ? {
          ext: {
            ...(failureReason !== undefined && { sfdc: { failureReason } }),
            ...(channel === HANDSHAKE && SUPPORTED_EXTENSIONS),
          },
        }
      : {}),
  };
}

/** The reply to a refused handshake, with the reason in `ext.sfdc` as Salesforce does. */
export function denied(message: BayeuxMessage, failureReason: string): Reply {
  return refused(message, ERRORS.refusedHandshake, "none", failureReason);
}

function echoFields({ channel, id, clientId, subscription }: BayeuxMessage): Record<string, unknown> {
  return {
    ...(clientId !== undefined && { clientId }),
    channel,
    ...(id !== undefined && { id }),
    ...(subscription !== undefined && { subscription }),
  };
}
