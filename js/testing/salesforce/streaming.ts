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
import { readBody } from "../../systems/cloudevents/body.js";
import { isFerryError } from "../../engine/errors.js";
import { connectionReset } from "../faults.js";
import type { Lifetime } from "../service.js";
import { type Subscription, kindOf, subscriptionOf } from "./channels.js";
import { json, jsonText } from "./json.js";
import {
  type BayeuxMessage,
  CONNECT,
  DISCONNECT,
  HANDSHAKE,
  OFFERED,
  type Reply,
  SUBSCRIBE,
  UNSUBSCRIBE,
  WORDS,
  accepted,
  denied,
  parse,
  refused,
  versionError,
} from "./messages.js";
import type { ReplayLog, StoredEvent } from "./replay.js";
import { Session, type SessionLimits } from "./session.js";
import { type AccessToken, type Tokens, randomText } from "./tokens.js";
import type { Troubles } from "./troubles.js";

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
export interface StreamingParts {
  rules: StreamingRules;
  log: ReplayLog;
  tokens: Tokens;
  troubles: Troubles;
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
  readonly browser: string | undefined;
}

const MAX_REQUESTS = 1000;
const DAY_MS = 86_400_000;
const ROUTE_MS = 3 * 3_600_000;

/** The server behind `/cometd`. */
export class StreamingServer {
  readonly requests: SalesforceRequest[] = [];
  readonly #sessions = new Map<string, Session>();
  readonly #parts: StreamingParts;
  #delivered = { day: 0, count: 0 };

  constructor(parts: StreamingParts) {
    this.#parts = parts;
  }

  /** The sessions that are not over. */
  get sessions(): Session[] {
    const now = this.#parts.now();
    for (const [clientId, session] of this.#sessions) if (session.isOver(now)) this.#sessions.delete(clientId);
    return [...this.#sessions.values()];
  }

  /** Gives an event that was published to all who are subscribed to it, and says how many these are. */
  spread(event: StoredEvent): number {
    const sessions = this.sessions;
    return sessions.filter((session) => session.offer(event)).length;
  }

  /** Ends the polls that are held. */
  endPolls(how: "time" | "lost" | "revoked" | "dropped"): void {
    for (const session of this.#sessions.values()) session.endPoll(how);
  }

  /** Forgets all sessions, as a server does that is started anew. */
  forgetSessions(polls: "lost" | "dropped"): void {
    this.endPolls(polls);
    this.#sessions.clear();
  }

  async handle(request: Request, version: string | undefined): Promise<Response> {
    const { rules, troubles, now, onChange } = this.#parts;
    if (request.method !== "POST")
      return json(405, [{ successful: false, error: "405::Only POST allowed" }], { allow: "POST" });
    let body: string;
    try {
      body = new TextDecoder().decode(await readBody(request, { maxBytes: rules.maxBodyBytes }));
    } catch (error) {
      if (isFerryError(error, "ERR_TOO_LARGE")) return json(413, [{ successful: false, error: WORDS.tooLarge }]);
      throw error;
    }
    const messages = parse(body, request.headers.get("content-type") ?? "");
    if (!messages)
      return json(400, [{ successful: false, error: "400::The body is no Bayeux message and no array of them" }]);
    this.requests.push({ messages, version, headers: Object.freeze(Object.fromEntries(request.headers)), at: now() });
    if (this.requests.length > MAX_REQUESTS) this.requests.shift();
    onChange();

    const own = await troubles.answerTo(messages, request);
    if (own !== undefined) return own instanceof Response ? own : json(200, own);
    const wrongVersion = versionError(version);
    if (wrongVersion !== undefined)
      return json(
        400,
        messages.map((message) => refused(message, wrongVersion)),
      );
    const handshake = messages.find(({ channel }) => channel === HANDSHAKE);
    const caller = this.#caller(request);
    // A handshake travels alone; its company is not looked at.
    const answer = await (handshake ? this.#handshake(handshake, caller) : this.#answer(messages, caller, request));
    onChange();
    return answer;
  }

  #caller({ headers }: Request): Caller {
    const authorization = headers.get("authorization");
    const token = this.#parts.tokens.find(authorization ?? "");
    const [, browser] = /(?:^|;)\s*BAYEUX_BROWSER=([^;]*)/.exec(headers.get("cookie") ?? "") ?? [];
    return { token, problem: token ? undefined : authorization ? WORDS.badToken : WORDS.noToken, browser };
  }

  #handshake(message: BayeuxMessage, { token, problem, browser }: Caller): Response {
    const { rules, troubles, now } = this.#parts;
    const refusal = troubles.refusalOf(message);
    if (refusal) return json(200, [refusal]);
    if (!token) return json(rules.unauthorizedStatus, [denied(message, problem!)]);
    const types: unknown[] = Array.isArray(message.supportedConnectionTypes) ? message.supportedConnectionTypes : [];
    if (!types.includes("long-polling")) return json(200, [denied(message, WORDS.connectionType(types.join(",")))]);
    const sessions = this.sessions;
    if (sessions.length >= rules.maxClients) return json(200, [denied(message, WORDS.clients)]);

    const clientId = randomText(26).toLowerCase().replace(/[._]/g, "z");
    const isKnown = browser !== undefined && sessions.some((session) => session.browser === browser);
    const cookie = isKnown ? browser : randomText(22).replace(/[._]/g, "0");
    const acknowledges = rules.acknowledges && message.ext?.ack !== undefined && message.ext.ack !== false;
    const answer = json(200, [
      accepted(message, {
        clientId,
        version: "1.0",
        minimumVersion: "1.0",
        supportedConnectionTypes: ["long-polling"],
        ext: { ...OFFERED, ...(acknowledges && { ack: true }) },
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
    const { rules, troubles, now } = this.#parts;
    const replies: Reply[] = [];
    let session: Session | undefined;
    let isConnect = false;
    for (const message of messages) {
      const found = this.#sessionOf(message, caller);
      const problem = this.#obstacle(message, found, caller) ?? troubles.refusalOf(message);
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
      !session.isOver(now()) &&
      !replies.some(({ error }) => error === WORDS.badToken || error === WORDS.noToken);
    const events = isGood ? session!.take(isConnect) : [];
    if (session?.acknowledges && isConnect)
      for (const reply of replies)
        if (reply["channel"] === CONNECT && reply.successful) reply["ext"] = { ack: session.batch };
    session?.answered(now());
    this.#count(events.length);
    if (isConnect && events.length > 0 && troubles.losesNext()) throw connectionReset();
    const isUnauthorized = replies.every(({ error }) => error === WORDS.badToken || error === WORDS.noToken);
    const text = `[${[...events.map((event) => event.text), ...replies.map((reply) => JSON.stringify(reply))].join(",")}]`;
    const answer = jsonText(isUnauthorized ? rules.unauthorizedStatus : 200, text);
    // Another server has got the request, and is where the next ones go.
    if (replies.some(({ error }) => error === WORDS.unknownClient))
      answer.headers.append("set-cookie", routingCookie(now()));
    return answer;
  }

  #sessionOf({ clientId }: BayeuxMessage, { browser }: Caller): Session | undefined {
    const session = typeof clientId === "string" ? this.#sessions.get(clientId) : undefined;
    if (!session || session.isOver(this.#parts.now())) return undefined;
    // A cookie of somebody else hides it; that there is none is said.
    return session.browser !== undefined && browser !== undefined && session.browser !== browser ? undefined : session;
  }

  /** Why a message is not even looked at. */
  #obstacle(
    message: BayeuxMessage,
    session: Session | undefined,
    { token, problem, browser }: Caller,
  ): Reply | undefined {
    if (problem !== undefined) return refused(message, problem);
    if (!session) {
      const isLost = message.channel === CONNECT || message.clientId !== undefined;
      return refused(message, isLost ? WORDS.unknownClient : WORDS.noHandshake, "handshake");
    }
    if (session.browser !== undefined && browser === undefined)
      return refused(message, WORDS.noCookie(session.clientId));
    return token!.username === session.username ? undefined : refused(message, WORDS.anotherUser);
  }

  /** The reply to a connect; nothing if another one has taken its place. */
  async #connect(
    message: BayeuxMessage,
    session: Session,
    isAlone: boolean,
    request: Request,
  ): Promise<Reply | undefined> {
    const { rules, lifetime, now, onChange } = this.#parts;
    if (message.connectionType !== "long-polling")
      return refused(message, WORDS.connectionType(message.connectionType));
    if (this.#isSpent()) return refused(message, WORDS.deliveries);
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
    session.answered(now());
    onChange();
    switch (end) {
      case "dropped":
        throw request.signal.aborted ? request.signal.reason : connectionReset();
      case "duplicate":
        return undefined;
      case "lost":
        return refused(message, WORDS.unknownClient, "handshake");
      case "revoked":
        return refused(message, WORDS.badToken);
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
        for (const name of namesOf(message)) session.subscriptions.delete(name);
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
    const names = namesOf(message);
    if (names.length === 0) return refused(message, WORDS.noChannel);
    const made: [Subscription, readonly StoredEvent[]][] = [];
    for (const name of names) {
      const subscription = subscriptionOf(name);
      const found = this.#admit(subscription, message);
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
  #admit(subscription: Subscription, { ext }: BayeuxMessage): readonly StoredEvent[] | string {
    const { rules, log } = this.#parts;
    const { name, channel } = subscription;
    if (name === "") return WORDS.noChannel;
    if (!name.startsWith("/")) return WORDS.noSlash;
    if (channel.startsWith("/meta/")) return WORDS.restricted;
    if (channel.startsWith("/service/")) return [];
    if (this.#isSpent()) return WORDS.deliveries;
    if (rules.channels && ![...rules.channels].some((known) => subscription.covers(known)))
      return WORDS.unknownChannel(channel);
    const map = ext?.replay;
    if (typeof map !== "object" || map === null) return [];
    const id = (map as Record<string, unknown>)[channel];
    if (typeof id !== "number" && typeof id !== "string") return WORDS.noReplayId(channel, map);
    return log.since(String(id), subscription) ?? WORDS.expiredId(String(id));
  }

  /** Salesforce takes events elsewhere; generic channels are open here, so that clients have something to publish to. */
  #publish(message: BayeuxMessage): Reply {
    const { rules, log } = this.#parts;
    const { channel, data } = message;
    if (typeof channel !== "string" || !channel.startsWith("/")) return refused(message, WORDS.noChannel);
    if (channel.startsWith("/meta/")) return refused(message, WORDS.restricted);
    if (channel.startsWith("/service/")) return accepted(message);
    const kind = kindOf(channel);
    if (!rules.allowPublish || (kind !== "generic" && kind !== "other")) return refused(message, WORDS.publish);
    this.spread(kind === "generic" ? log.add(channel, data, {}) : log.addAsIs(channel, data ?? null));
    return accepted(message);
  }

  #count(events: number): void {
    const day = Math.floor(this.#parts.now() / DAY_MS);
    if (day !== this.#delivered.day) this.#delivered = { day, count: 0 };
    this.#delivered.count += events;
  }

  #isSpent(): boolean {
    this.#count(0);
    return this.#delivered.count >= this.#parts.rules.eventsPerDay;
  }
}

function namesOf({ subscription }: BayeuxMessage): string[] {
  return [subscription].flat().filter((name): name is string => typeof name === "string");
}

function routingCookie(now: number): string {
  return `sfdc-stream=!${randomText(40)}=; path=/; SameSite=None; Secure; Expires=${new Date(now + ROUTE_MS).toUTCString()}`;
}
