/**
 * The Streaming API: Bayeux over long polls at `/cometd/<version>`, with the rules of Salesforce.
 *
 * ```text
 *   body ─> messages ─> interceptors ─> version? ─> handshake alone
 *                                            └────> each message: token? session? cookie? refusal? ─> reply
 *                                                   a connect that is alone is held
 *   answer = events that wait for the session, then the replies
 * ```
 *
 * Lives here: which message gets which reply. Not here: what a session remembers (`session.ts`), what is replayed
 * (`replay.ts`), how a refusal is worded (`messages.ts`).
 */
import { readBody } from "../../systems/cloudevents/http.js";
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
  versionError,
} from "./messages.js";
import type { ReplayLog, StoredEvent } from "./replay.js";
import { Session, type SessionLimits } from "./session.js";
import { type AccessToken, type TokenStore, randomText } from "./tokens.js";
import type { Overrides } from "./overrides.js";

/** How the server works. */
export interface StreamingRules extends SessionLimits {
  /** How long a connect is held. */
  timeoutMs: number;
  maxClients: number;
  eventsPerDay: number;
  maxBodyBytes: number;
  requireCookie: boolean;
  unauthorizedStatus: 200 | 401;
  /** Channels that exist; undefined for all. */
  channels: ReadonlySet<string> | undefined;
  allowPublish: boolean;
  acknowledges: boolean;
}

/** What the server works with. */
export interface StreamingDependencies {
  rules: StreamingRules;
  log: ReplayLog;
  tokens: TokenStore;
  overrides: Overrides;
  lifetime: Lifetime;
  now: () => number;
  /** Called after each change that a test may wait for. */
  onChange: () => void;
}

/** A request to the streaming endpoint, as it was kept. */
export interface SalesforceRequest {
  readonly messages: readonly BayeuxMessage[];
  /** Version in the address. */
  readonly version: string | undefined;
  /** With names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** When it came, in milliseconds since 1970. */
  readonly at: number;
}

/** Who sends a request, as far as its headers say. */
interface Caller {
  readonly token: AccessToken | undefined;
  /** What is wrong with the token. */
  readonly problem: string | undefined;
  /** The value of the session cookie. */
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

  /** The sessions that are not over. */
  get sessions(): Session[] {
    const now = this.#dependencies.now();
    for (const [clientId, session] of this.#sessions) if (session.isExpired(now)) this.#sessions.delete(clientId);
    return [...this.#sessions.values()];
  }

  /** Gives an event that was published to all who are subscribed to it, and says how many these are. */
  deliver(event: StoredEvent): number {
    const sessions = this.sessions;
    return sessions.filter((session) => session.deliver(event)).length;
  }

  /** Ends the polls that are held. */
  endPolls(how: "time" | "lost" | "revoked" | "dropped"): void {
    for (const session of this.#sessions.values()) session.endPoll(how);
  }

  /** Forgets all sessions, as a server does that is started anew. */
  removeSessions(polls: "lost" | "dropped"): void {
    this.endPolls(polls);
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
        { successful: false, error: "400::The body is no Bayeux message and no array of them" },
      ]);
    this.requests.push({ messages, version, headers: Object.freeze(Object.fromEntries(request.headers)), at: now() });
    if (this.requests.length > MAX_REQUESTS) this.requests.shift();
    onChange();

    const own = await overrides.interceptedAnswer(messages, request);
    if (own !== undefined) return own instanceof Response ? own : jsonResponse(200, own);
    const wrongVersion = versionError(version);
    if (wrongVersion !== undefined)
      return jsonResponse(
        400,
        messages.map((message) => refused(message, wrongVersion)),
      );
    const handshake = messages.find(({ channel }) => channel === HANDSHAKE);
    const caller = this.#identifyCaller(request);
    // A handshake travels alone; its company is not looked at.
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
    // In a page an answer cannot set cookies, so none can come back.
    const asked = rules.requireCookie && answer.headers.has("set-cookie") ? cookie : undefined;
    this.#sessions.set(
      clientId,
      new Session({ clientId, username: token.username, browser: asked, acknowledges }, rules, now()),
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
    // The session may have been lost while the poll was held; and events are not for one whose token is refused.
    const isGood =
      session &&
      this.#sessions.has(session.clientId) &&
      !session.isExpired(now()) &&
      !replies.some(({ error }) => error === ERRORS.badToken || error === ERRORS.noToken);
    const events = isGood ? session!.take(isConnect) : [];
    if (session?.acknowledges && isConnect)
      for (const reply of replies)
        if (reply["channel"] === CONNECT && reply.successful) reply["ext"] = { ack: session.batch };
    session?.noteResponse(now());
    this.#countDelivered(events.length);
    if (isConnect && events.length > 0 && overrides.takeLostResponse()) throw connectionReset();
    const isUnauthorized = replies.every(({ error }) => error === ERRORS.badToken || error === ERRORS.noToken);
    const text = `[${[...events.map((event) => event.text), ...replies.map((reply) => JSON.stringify(reply))].join(",")}]`;
    const answer = jsonTextResponse(isUnauthorized ? rules.unauthorizedStatus : 200, text);
    // Another server has got the request, and is where the next ones go.
    if (replies.some(({ error }) => error === ERRORS.unknownClient))
      answer.headers.append("set-cookie", routingCookie(now()));
    return answer;
  }

  #findSession({ clientId }: BayeuxMessage, { browserCookie: browser }: Caller): Session | undefined {
    const session = typeof clientId === "string" ? this.#sessions.get(clientId) : undefined;
    if (!session || session.isExpired(this.#dependencies.now())) return undefined;
    // A cookie of somebody else hides it; that there is none is said.
    return session.browserCookie !== undefined && browser !== undefined && session.browserCookie !== browser
      ? undefined
      : session;
  }

  /** Why a message is not even looked at. */
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

  /** The reply to a connect; nothing if another one has taken its place. */
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
    // Whoever has asked for acknowledgements and gives none has everything.
    if (session.acknowledges) session.acknowledge(typeof acknowledged === "number" ? acknowledged : session.batch);
    const isFirst = !session.isConnected;
    session.isConnected = true;
    const wished = message.advice?.timeout;
    const waitMs = Math.min(rules.timeoutMs, typeof wished === "number" && wished >= 0 ? wished : rules.timeoutMs);
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
        session.endPoll("time");
        return accepted(message);
      default:
        return this.#publish(message);
    }
  }

  /** Of several subscriptions in one message either all are made or none. */
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

  /** The events to begin with, or why a subscription is refused. */
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

  /** Salesforce takes events elsewhere; generic channels are open here, so that clients have something to publish to. */
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
