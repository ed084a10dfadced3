/**
 * The Streaming API: Bayeux over long polling at `/cometd/<version>`, with the rules of Salesforce.
 *
 * ```text
 *   body ─> messages ─> interceptors ─> version? ─> handshake: the only message that is answered
 *                                            └────> each message: token? session? cookie? refusal? ─> reply
 *                                                   a connect that is the only message is held
 *   response = queued events of the session, then the replies
 * ```
 *
 * This file decides which message gets which reply. The state of a session is in `session.ts`, the stored events in
 * `replay.ts`, the error texts in `messages.ts`.
 */
import { readBody } from "../../systems/cloudevents/body.js";
import { isFerryError } from "../../engine/errors.js";
import { connectionReset } from "../faults.js";
import type { Lifetime } from "../service.js";
import { type Subscription, kindOf, parseSubscription } from "./channels.js";
import { jsonResponse, jsonTextResponse } from "./json.js";
import {
  type BayeuxMessage,
  CONNECT,
  DISCONNECT,
  HANDSHAKE,
  SUPPORTED_EXTENSIONS,
  type Reply,
  SUBSCRIBE,
  UNSUBSCRIBE,
  ERRORS,
  accepted,
  denied,
  parseMessages,
  refused,
  replyTexts,
  versionError,
} from "./messages.js";
import type { ReplayLog, StoredEvent } from "./replay.js";
import { Session, type SessionLimits } from "./session.js";
import { type AccessToken, type TokenStore, randomText } from "./tokens.js";
import type { Overrides } from "./overrides.js";
import { TextDecoder } from "../../platform/text.js";

/** Rules of the server. */
export interface StreamingRules extends SessionLimits {
  /** Longest time that a connect is held. */
  timeoutMs: number;
  maxClients: number;
  eventsPerDay: number;
  maxBodyBytes: number;
  requireCookie: boolean;
  unauthorizedStatus: 200 | 401;
  /** The existing channels; undefined for all. */
  channels: ReadonlySet<string> | undefined;
  allowPublish: boolean;
  acknowledges: boolean;
}

/** The collaborators of the server. */
export interface StreamingDependencies {
  rules: StreamingRules;
  log: ReplayLog;
  tokens: TokenStore;
  overrides: Overrides;
  lifetime: Lifetime;
  now: () => number;
  /** Called after each change that `waitFor` must check. */
  onChange: () => void;
}

/** A recorded request to the streaming endpoint. */
export interface SalesforceRequest {
  /** The messages of the request. */
  readonly messages: readonly BayeuxMessage[];
  /** API version in the address. */
  readonly version: string | undefined;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Time of arrival, in milliseconds since 1970. */
  readonly at: number;
}

/** The sender of a request, from its headers. */
interface Caller {
  readonly token: AccessToken | undefined;
  /** The error for a missing or invalid token. */
  readonly problem: string | undefined;
  /** Value of the session cookie. */
  readonly browserCookie: string | undefined;
}

const MAX_REQUESTS = 1000;
const DAY_MS = 86_400_000;
const ROUTING_COOKIE_MS = 3 * 3_600_000;

/** The server behind `/cometd`. */
export class StreamingServer {
  readonly requests: SalesforceRequest[] = [];
  readonly #sessions = new Map<string, Session>();
  readonly #dependencies: StreamingDependencies;
  #delivered = { day: 0, count: 0 };

  constructor(parts: StreamingDependencies) {
    this.#dependencies = parts;
  }

  /** The sessions that have not expired. */
  get sessions(): Session[] {
    const now = this.#dependencies.now();
    for (const [clientId, session] of this.#sessions) if (session.isExpired(now)) this.#sessions.delete(clientId);
    return [...this.#sessions.values()];
  }

  /** Queues a published event for all subscribed sessions. Returns their number. */
  deliver(event: StoredEvent): number {
    const sessions = this.sessions;
    return sessions.filter((session) => session.deliver(event)).length;
  }

  /** Ends all held connects. */
  endPolls(...how: Parameters<Session["endPoll"]>): void {
    for (const session of this.#sessions.values()) session.endPoll(...how);
  }

  /** Removes all sessions, as a restart of the server does. */
  removeSessions(...polls: Parameters<Session["endPoll"]>): void {
    this.endPolls(...polls);
    this.#sessions.clear();
  }

  async handle(request: Request, version: string | undefined): Promise<Response> {
    const { rules, overrides, now, onChange } = this.#dependencies;
    if (request.method !== "POST")
      return jsonResponse(405, [{ successful: false, error: "405::Only POST allowed" }], { allow: "POST" });
    let body: string;
    try {
      body = new TextDecoder().decode(await readBody(request, { maxBytes: rules.maxBodyBytes }));
    } catch (error) {
      if (isFerryError(error, "ERR_TOO_LARGE"))
        return jsonResponse(413, [{ successful: false, error: ERRORS.tooLarge }]);
      throw error;
    }
    const messages = parseMessages(body, request.headers.get("content-type") ?? "");
    if (!messages)
      return jsonResponse(400, [
        { successful: false, error: "400::The body must be a Bayeux message or an array of them" },
      ]);
    this.requests.push({ messages, version, headers: Object.freeze(Object.fromEntries(request.headers)), at: now() });
    if (this.requests.length > MAX_REQUESTS) this.requests.shift();
    onChange();

    const intercepted = await overrides.interceptedAnswer(messages, request);
    if (intercepted !== undefined)
      return intercepted instanceof Response ? intercepted : jsonResponse(200, intercepted);
    const wrongVersion = versionError(version);
    if (wrongVersion !== undefined)
      return jsonResponse(
        400,
        messages.map((message) => refused(message, wrongVersion)),
      );
    const handshake = messages.find(({ channel }) => channel === HANDSHAKE);
    const caller = this.#identifyCaller(request);
    // Other messages beside a handshake are ignored.
    const answer = await (handshake ? this.#handshake(handshake, caller) : this.#answer(messages, caller, request));
    onChange();
    return answer;
  }

  #identifyCaller({ headers }: Request): Caller {
    const authorization = headers.get("authorization");
    const token = this.#dependencies.tokens.find(authorization ?? "");
    const [, browser] = /(?:^|;)\s*BAYEUX_BROWSER=([^;]*)/.exec(headers.get("cookie") ?? "") ?? [];
    return {
      token,
      problem: token ? undefined : authorization ? ERRORS.badToken : ERRORS.noToken,
      browserCookie: browser,
    };
  }

  #handshake(message: BayeuxMessage, { token, problem, browserCookie: browser }: Caller): Response {
    const { rules, overrides, now } = this.#dependencies;
    const refusal = overrides.refusalFor(message);
    if (refusal) return jsonResponse(200, [refusal]);
    if (!token) return jsonResponse(rules.unauthorizedStatus, [denied(message, problem!)]);
    const types: unknown[] = Array.isArray(message.supportedConnectionTypes) ? message.supportedConnectionTypes : [];
    if (!types.includes("long-polling"))
      return jsonResponse(200, [denied(message, ERRORS.connectionType(types.join(",")))]);
    const sessions = this.sessions;
    if (sessions.length >= rules.maxClients) return jsonResponse(200, [denied(message, ERRORS.clients)]);

    const clientId = randomText(26).toLowerCase().replace(/[._]/g, "z");
    const isKnown = browser !== undefined && sessions.some((session) => session.browserCookie === browser);
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
    this.#sessions.set(
      clientId,
      new Session({ clientId, username: token.username, browserCookie: requiredCookie, acknowledges }, rules, now()),
    );
    return answer;
  }

  async #answer(messages: readonly BayeuxMessage[], caller: Caller, request: Request): Promise<Response> {
    const { rules, overrides, now } = this.#dependencies;
    const replies: Reply[] = [];
    let session: Session | undefined;
    let isConnect = false;
    for (const message of messages) {
      const found = this.#findSession(message, caller);
      const problem = this.#rejection(message, found, caller) ?? overrides.refusalFor(message);
      session ??= found;
      if (problem) replies.push(problem);
      else if (message.channel === CONNECT) {
        isConnect = true;
        const reply = await this.#connect(message, found!, messages.length === 1, request);
        if (reply === undefined) return new Response(null, { status: 500 });
        replies.push(reply);
      } else replies.push(this.#reply(message, found!));
    }
    // The session may have been removed while the connect was held. A client whose token is refused gets no events.
    const mayReceive =
      session &&
      this.#sessions.has(session.clientId) &&
      !session.isExpired(now()) &&
      !replies.some(({ error }) => error === ERRORS.badToken || error === ERRORS.noToken);
    const events = mayReceive ? session!.take(isConnect) : [];
    if (session?.acknowledges && isConnect)
      for (const reply of replies)
        if (reply["channel"] === CONNECT && reply.successful) reply["ext"] = { ack: session.batch };
    session?.noteResponse(now());
    this.#countDelivered(events.length);
    if (isConnect && events.length > 0 && overrides.takeLostResponse()) throw connectionReset();
    const isUnauthorized = replies.every(({ error }) => error === ERRORS.badToken || error === ERRORS.noToken);
    const text = `[${[...events.map((event) => event.text), ...replyTexts(replies, session?.takeGoodbye())].join(",")}]`;
    const answer = jsonTextResponse(isUnauthorized ? rules.unauthorizedStatus : 200, text);
    // As if another server of the cluster had received the request and takes the following ones.
    if (replies.some(({ error }) => error === ERRORS.unknownClient))
      answer.headers.append("set-cookie", routingCookie(now()));
    return answer;
  }

  #findSession({ clientId }: BayeuxMessage, { browserCookie: browser }: Caller): Session | undefined {
    const session = typeof clientId === "string" ? this.#sessions.get(clientId) : undefined;
    if (!session || session.isExpired(this.#dependencies.now())) return undefined;
    // With the cookie of another browser the session is unknown. A missing cookie has an error of its own.
    return session.browserCookie !== undefined && browser !== undefined && session.browserCookie !== browser
      ? undefined
      : session;
  }

  /** The reply to a message whose token, session or cookie is not accepted. */
  #rejection(
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

  /** The reply to a connect; undefined if another connect has replaced it. */
  async #connect(
    message: BayeuxMessage,
    session: Session,
    isAlone: boolean,
    request: Request,
  ): Promise<Reply | undefined> {
    const { rules, lifetime, now, onChange } = this.#dependencies;
    if (message.connectionType !== "long-polling")
      return refused(message, ERRORS.connectionType(message.connectionType));
    if (this.#isDailyLimitReached()) return refused(message, ERRORS.deliveries);
    const acknowledged = message.ext?.ack;
    // A client that enabled acknowledgement but sends none has received everything.
    if (session.acknowledges) session.acknowledge(typeof acknowledged === "number" ? acknowledged : session.batch);
    const isFirst = !session.isConnected;
    session.isConnected = true;
    const requested = message.advice?.timeout;
    const isValid = typeof requested === "number" && requested >= 0;
    const waitMs = isValid ? Math.min(rules.timeoutMs, requested) : rules.timeoutMs;
    if (isFirst) return accepted(message, { advice: { interval: 0, timeout: rules.timeoutMs, reconnect: "retry" } });
    if (!isAlone || waitMs === 0 || session.hasWaiting) return accepted(message);
    const held = session.hold(waitMs, request, lifetime);
    onChange();
    const end = await held;
    session.noteResponse(now());
    onChange();
    switch (end) {
      case "dropped":
        throw request.signal.aborted ? request.signal.reason : connectionReset();
      case "duplicate":
        return undefined;
      case "lost":
        return refused(message, ERRORS.unknownClient, "handshake");
      case "revoked":
        return refused(message, ERRORS.badToken);
      default:
        return accepted(message);
    }
  }

  #reply(message: BayeuxMessage, session: Session): Reply {
    const { channel } = message;
    switch (channel) {
      case SUBSCRIBE:
        return this.#subscribe(message, session);
      case UNSUBSCRIBE:
        for (const name of subscriptionNames(message)) session.subscriptions.delete(name);
        return accepted(message);
      case DISCONNECT:
        this.#sessions.delete(session.clientId);
        session.endPoll("timeout");
        return accepted(message);
      default:
        return this.#publish(message);
    }
  }

  /** Makes all subscriptions of one message or none. */
  #subscribe(message: BayeuxMessage, session: Session): Reply {
    const names = subscriptionNames(message);
    if (names.length === 0) return refused(message, ERRORS.noChannel);
    const made: [Subscription, readonly StoredEvent[]][] = [];
    for (const name of names) {
      const subscription = parseSubscription(name);
      const found = this.#replay(subscription, message);
      if (typeof found === "string") return refused(message, found);
      made.push([subscription, found]);
    }
    for (const [subscription, missed] of made) {
      session.subscriptions.set(subscription.name, subscription);
      session.queue(missed);
    }
    return accepted(message);
  }

  /** The events to replay for a subscription, or the error with which it is refused. */
  #replay(subscription: Subscription, { ext }: BayeuxMessage): readonly StoredEvent[] | string {
    const { rules, log } = this.#dependencies;
    const { name, channel } = subscription;
    if (name === "") return ERRORS.noChannel;
    if (!name.startsWith("/")) return ERRORS.noSlash;
    if (channel.startsWith("/meta/")) return ERRORS.restricted;
    if (channel.startsWith("/service/")) return [];
    if (this.#isDailyLimitReached()) return ERRORS.deliveries;
    if (rules.channels && ![...rules.channels].some((known) => subscription.matchesChannel(known)))
      return ERRORS.unknownChannel(channel);
    const map = ext?.replay;
    if (typeof map !== "object" || map === null) return [];
    const id = (map as Record<string, unknown>)[channel];
    if (typeof id !== "number" && typeof id !== "string") return ERRORS.noReplayId(channel, map);
    return log.since(String(id), subscription) ?? ERRORS.expiredId(String(id));
  }

  /** Salesforce accepts no events over Bayeux. Here generic and other channels do, so that clients can test publishing. */
  #publish(message: BayeuxMessage): Reply {
    const { rules, log } = this.#dependencies;
    const { channel, data } = message;
    if (typeof channel !== "string" || !channel.startsWith("/")) return refused(message, ERRORS.noChannel);
    if (channel.startsWith("/meta/")) return refused(message, ERRORS.restricted);
    if (channel.startsWith("/service/")) return accepted(message);
    const kind = kindOf(channel);
    if (!rules.allowPublish || (kind !== "generic" && kind !== "other")) return refused(message, ERRORS.publish);
    this.deliver(kind === "generic" ? log.add(channel, data, {}) : log.addData(channel, data ?? null));
    return accepted(message);
  }

  #countDelivered(events: number): void {
    const day = Math.floor(this.#dependencies.now() / DAY_MS);
    if (day !== this.#delivered.day) this.#delivered = { day, count: 0 };
    this.#delivered.count += events;
  }

  #isDailyLimitReached(): boolean {
    this.#countDelivered(0);
    return this.#delivered.count >= this.#dependencies.rules.eventsPerDay;
  }
}

function subscriptionNames({ subscription }: BayeuxMessage): string[] {
  return [subscription].flat().filter((name): name is string => typeof name === "string");
}

function routingCookie(now: number): string {
  return `sfdc-stream=!${randomText(40)}=; path=/; SameSite=None; Secure; Expires=${new Date(now + ROUTING_COOKIE_MS).toUTCString()}`;
}
