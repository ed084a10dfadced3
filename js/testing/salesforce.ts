/**
 * Salesforce: login and Streaming API, as far as a streaming client uses them.
 *
 * ```text
 *   POST /salesforce/services/oauth2/token     tokens (also /revoke, /userinfo)        salesforce/oauth.ts
 *   POST /salesforce/cometd/<version>          Bayeux over long polls, with replay     salesforce/streaming.ts
 *        /salesforce/services/data/v…          publishes platform and generic events   salesforce/rest.ts
 * ```
 *
 * The same addresses also exist without the prefix, because Salesforce clients take a host and no path. `instance_url`
 * of a login repeats the host and prefix of the request.
 */
import { FerryError } from "../engine/errors.js";
import type { Cors } from "./cors.js";
import type { EventMetadata } from "./salesforce/channels.js";
import type { BayeuxMessage, Goodbye } from "./salesforce/messages.js";
import { OAuthServer, type SalesforceAccount, type SalesforceLogin } from "./salesforce/oauth.js";
import { type EventSelection, ReplayLog, type StoredEvent } from "./salesforce/replay.js";
import { RestApi } from "./salesforce/rest.js";
import { type SalesforceRequest, StreamingServer } from "./salesforce/streaming.js";
import { TokenStore } from "./salesforce/tokens.js";
import { type SalesforceInterceptor, type SalesforceRefusal, Overrides } from "./salesforce/overrides.js";
import { type Lifetime, type Service, integer, textResponse } from "./service.js";
import { Watchers } from "./watchers.js";
import { mustBe } from "../engine/messages.js";
import { unixNow } from "../platform/clock.js";

export type {
  EventMetadata,
  BayeuxMessage,
  EventSelection,
  SalesforceAccount,
  SalesforceInterceptor,
  SalesforceLogin,
  SalesforceRefusal,
  SalesforceRequest,
  StoredEvent,
};

/** Options of the Salesforce service of an emulator. Durations are in milliseconds. */
export interface SalesforceEmulatorOptions {
  /** The accounts that may log in. @default any key, secret, username and password, as long as none is missing */
  accounts?: readonly SalesforceAccount[];
  /** Whether each use of a refresh token issues a new one and revokes the old one. @default false */
  rotateRefreshTokens?: boolean;
  /** Lifetime of an access token. @default 7 200 000 */
  tokenLifetimeMs?: number;
  /** Longest time that a connect request is held. @default 110 000 */
  timeoutMs?: number;
  /** Longest time between a response and the next connect; after that the session expires. @default 40 000 */
  sessionGapMs?: number;
  /** Maximum number of sessions; further handshakes are denied. @default 1000 */
  maxClients?: number;
  /** Maximum number of events delivered in a day (UTC). @default unlimited */
  eventsPerDay?: number;
  /** Maximum number of events in one response; the others follow in the next. @default 1000 */
  maxEventsPerAnswer?: number;
  /** Maximum number of events queued for one session; a session that exceeds it is removed. @default 100 000 */
  maxQueue?: number;
  /** Number of events that are kept for replay; the oldest are evicted first. @default 100 000 */
  maxEvents?: number;
  /** Approximate bytes of events that are kept for replay; the last event is never evicted. @default 134 217 728 */
  maxBytes?: number;
  /** Largest body that `/cometd` accepts, in bytes; a larger one gets 413. @default 32 768 */
  maxBodyBytes?: number;
  /** Replay id of the first event. @default 1 */
  firstReplayId?: number;
  /** Whether a session requires its cookie. It never does for pages that call `emulator.fetch`, which cannot have cookies. @default true */
  requireCookie?: boolean;
  /** HTTP status of responses that refuse the token; their body is the same. @default 200 */
  unauthorizedStatus?: 200 | 401;
  /** The channels that exist. @default all */
  channels?: readonly string[];
  /** Whether clients may publish over Bayeux to `/u/…` and to channels of no Salesforce kind. Salesforce does not allow it. @default true */
  allowPublish?: boolean;
  /** Whether the acknowledgement extension of CometD is offered. Salesforce does not have it. @default false */
  acknowledges?: boolean;
  /** Whether pages of other origins may call it, with cookies. The real Streaming API does not allow it, as with `false`. @default true */
  cors?: boolean;
  /** Clock of tokens, sessions and retention, in milliseconds since 1970. Held requests use real timers. @default Date.now */
  now?: () => number;
}

/** A Bayeux session of a client. */
export interface SalesforceSession {
  /** The id of the session. */
  readonly clientId: string;
  /** The user of the session. */
  readonly username: string;
  /** Names of its subscriptions, filters included. */
  readonly subscriptions: readonly string[];
  /** Whether a connect request is held for it. */
  readonly isHeld: boolean;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** The Salesforce service of an emulator, and what it received. */
export class SalesforceEmulator implements Service {
  readonly prefix = "/salesforce";
  readonly cors: Cors;
  readonly #lifetime: Lifetime;
  readonly #tokens: TokenStore;
  readonly #oauth: OAuthServer;
  readonly #log: ReplayLog;
  readonly #streaming: StreamingServer;
  readonly #rest: RestApi;
  readonly #overrides = new Overrides();
  readonly #watchers = new Watchers();

  /** @internal */
  constructor(options: SalesforceEmulatorOptions, lifetime: Lifetime) {
    const { unauthorizedStatus = 200, channels, cors = true, now = () => unixNow() } = options;
    if (unauthorizedStatus !== 200 && unauthorizedStatus !== 401)
      throw mustBe("unauthorizedStatus", "200 or 401", unauthorizedStatus);
    if (typeof now !== "function") throw mustBe("now", "a function", now);
    this.cors = cors ? "with cookies" : "none";
    this.#lifetime = lifetime;
    this.#tokens = new TokenStore(integer("tokenLifetimeMs", options.tokenLifetimeMs, 2 * 3_600_000, 1), now);
    this.#oauth = new OAuthServer(options.accounts, options.rotateRefreshTokens === true, this.#tokens, now);
    this.#log = new ReplayLog(
      integer("maxEvents", options.maxEvents, 100_000, 1),
      integer("maxBytes", options.maxBytes, 128 * 1024 * 1024, 1),
      integer("firstReplayId", options.firstReplayId, 1, 0),
      now,
    );
    this.#streaming = new StreamingServer({
      rules: {
        timeoutMs: integer("timeoutMs", options.timeoutMs, 110_000, 0, MAX_TIMER_MS),
        gapMs: integer("sessionGapMs", options.sessionGapMs, 40_000, 1),
        maxClients: integer("maxClients", options.maxClients, 1000, 1),
        eventsPerDay:
          options.eventsPerDay === undefined ? Infinity : integer("eventsPerDay", options.eventsPerDay, 0, 0),
        maxEventsPerAnswer: integer("maxEventsPerAnswer", options.maxEventsPerAnswer, 1000, 1),
        maxQueue: integer("maxQueue", options.maxQueue, 100_000, 1),
        maxBodyBytes: integer("maxBodyBytes", options.maxBodyBytes, 32_768, 1),
        requireCookie: options.requireCookie !== false,
        unauthorizedStatus,
        channels: channels && new Set(channels),
        allowPublish: options.allowPublish !== false,
        acknowledges: options.acknowledges === true,
      },
      log: this.#log,
      tokens: this.#tokens,
      overrides: this.#overrides,
      lifetime,
      now,
      onChange: () => this.#changed(),
    });
    this.#rest = new RestApi(this.#tokens, (channel, content) => {
      const event = this.#log.add(channel, content, {});
      return { sessionCount: this.#streaming.sessions.deliver(event), replayId: event.replayId };
    });
  }

  /** The same service without the prefix, at the addresses of a Salesforce host. @internal */
  get rootServices(): readonly Service[] {
    const handle = (request: Request, url: URL) => this.handle(request, url);
    return ["/services", "/cometd", "/id"].map((prefix) => ({ prefix, cors: this.cors, handle }));
  }

  /**
   * Publishes an event in the format of the channel's kind: `content` is the record of a PushTopic (`/topic/…`), the
   * payload of a generic event (`/u/…`), the fields of a platform event (`/event/…`) or of a change event (`/data/…`),
   * and on other channels the data.
   *
   * @example
   * emulator.salesforce.publish("/event/Low_Ink__e", { Ink_Percentage__c: 0.2 }).replayId; // "1"
   */
  publish(channel: string, content: unknown, metadata: EventMetadata = {}): StoredEvent {
    return this.#deliver(this.#log.add(validateChannel(channel), content, metadata));
  }

  /** Publishes an event with exactly this `data`. JSON text may contain numbers that JavaScript cannot represent. */
  publishData(channel: string, data: unknown): StoredEvent {
    try {
      return this.#deliver(this.#log.addData(validateChannel(channel), data));
    } catch (cause) {
      throw cause instanceof FerryError
        ? cause
        : new FerryError("ERR_INVALID_ARGUMENT", "data must be a JSON value or valid JSON text", { cause });
    }
  }

  /** The events that are kept for replay, oldest first. A new array each time. */
  get events(): readonly StoredEvent[] {
    return this.#log.all();
  }

  /** Removes events as if their retention had ended, so that a replay from one of them is refused. */
  forgetEvents(which: EventSelection = {}): void {
    this.#log.forget(which);
  }

  /** The last 1000 requests to `/cometd`, oldest first. A new array each time. */
  get requests(): readonly SalesforceRequest[] {
    return [...this.#streaming.requests];
  }

  /** The messages that clients sent to a channel, such as `"/meta/subscribe"`, oldest first. */
  messages(channel: string): readonly BayeuxMessage[] {
    return this.#streaming.requests.flatMap(({ messages }) =>
      messages.filter((message) => message.channel === channel),
    );
  }

  /** The last 1000 token requests, oldest first. A new array each time. */
  get logins(): readonly SalesforceLogin[] {
    return [...this.#oauth.logins];
  }

  /** The current sessions. A new array each time. */
  get sessions(): readonly SalesforceSession[] {
    return this.#streaming.sessions.unexpired().map(({ clientId, username, subscriptions, isHeld }) => ({
      clientId,
      username,
      subscriptions: [...subscriptions.keys()],
      isHeld,
    }));
  }

  /** Clears `requests` and `logins`. Events, sessions and tokens stay. */
  clear(): void {
    this.#streaming.requests.length = 0;
    this.#oauth.logins.length = 0;
  }

  /**
   * Issues an access token without a login, or registers the given one. It is valid until it expires or is revoked.
   */
  issueToken(options: { username?: string; accessToken?: string } = {}): string {
    return this.#tokens.issue(options.username ?? "user@example.com", options.accessToken).accessToken;
  }

  /**
   * Revokes all access tokens. Held connects are answered immediately with the refusal. Refresh tokens stay.
   *
   * @param options.disconnect where a `/meta/disconnect` stands in these answers, as Salesforce sends it: before the
   * refusal, behind it, or in its place @default none
   */
  revokeTokens(options: { disconnect?: Goodbye } = {}): void {
    this.#tokens.revokeAccess();
    this.#streaming.sessions.endPolls("revoked", options.disconnect);
  }

  /**
   * Removes all sessions. Held connects are answered immediately with `403::Unknown client`, later requests too.
   *
   * @param options.disconnect as with `revokeTokens` @default none
   */
  expireSessions(options: { disconnect?: Goodbye } = {}): void {
    this.#streaming.sessions.clear("lost", options.disconnect);
  }

  /** Simulates a restart of the server: held connects break and sessions are removed; events and tokens stay. */
  restart(): void {
    this.#streaming.sessions.clear("dropped");
  }

  /** Breaks the connections of all held connects. The sessions stay. */
  dropPolls(): void {
    this.#streaming.sessions.endPolls("dropped");
  }

  /** Answers all held connects, as if their timeout had passed. */
  answerPolls(): void {
    this.#streaming.sessions.endPolls("timeout");
  }

  /** Loses the next connect responses that carry events. The server counts those events as delivered. */
  loseAnswers(times = 1): void {
    this.#overrides.loseResponses(integer("times", times, 1, 0));
  }

  /**
   * Refuses single messages with an error of the protocol. Returns a function that removes the refusal.
   *
   * @example
   * emulator.salesforce.refuse({
   *   on: "/meta/connect",
   *   error: "401::Authentication invalid",
   *   failureReason: "503::Server is too busy.  Please try your request again later.",
   * });
   */
  refuse(refusal: SalesforceRefusal): () => void {
    return this.#overrides.refuse(refusal);
  }

  /** Lets a function answer requests to `/cometd` in place of the service. Returns a function that removes it. */
  intercept(interceptor: SalesforceInterceptor): () => void {
    return this.#overrides.intercept(interceptor);
  }

  /** Removes everything added by `refuse`, `intercept` and `loseAnswers`. */
  clearOverrides(): void {
    this.#overrides.clear();
  }

  /**
   * Resolves when a condition is true. It is checked now and after each request, response, held connect and event.
   *
   * @example
   * await emulator.salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
   *
   * @param options.timeoutMs how long to wait, in milliseconds @default 10 000
   * @throws {FerryError} `ERR_TIMEOUT` after that time, `ERR_CLOSED` if the emulator is closed first.
   */
  async waitFor(
    condition: (salesforce: SalesforceEmulator) => boolean,
    options: { timeoutMs?: number } = {},
  ): Promise<void> {
    if (typeof condition !== "function") throw mustBe("condition", "a function", condition);
    await this.#watchers.until(
      () => condition(this) || undefined,
      options.timeoutMs,
      this.#lifetime,
      () => "the condition did not become true",
    );
  }

  /** Answers a request below the prefix. */
  handle(request: Request, url: URL): Response | Promise<Response> {
    const isBelow = url.pathname === this.prefix || url.pathname.startsWith(`${this.prefix}/`);
    const [area, kind, ...rest] = url.pathname
      .slice(isBelow ? this.prefix.length : 0)
      .split("/")
      .filter((part) => part !== "");
    // On a socket, the host is the name by which the client reached the server.
    const host = request.headers.get("host") ?? url.host;
    const base = `${url.protocol}//${host}${isBelow ? this.prefix : ""}`;
    if (area === "cometd") return this.#streaming.handle(request, kind);
    if (area === "services" && kind === "oauth2" && ["token", "revoke", "userinfo"].includes(rest[0] ?? ""))
      return this.#oauth.handle(request, rest[0]!, base);
    if (area === "id") return this.#oauth.handle(request, "id", base);
    if (area === "services" && kind === "data") return this.#rest.handle(request, url, rest);
    return textResponse(
      404,
      "not found; the addresses are /services/oauth2/token, /services/data/v68.0 and /cometd/68.0",
    );
  }

  #deliver(event: StoredEvent): StoredEvent {
    this.#streaming.sessions.deliver(event);
    this.#changed();
    return event;
  }

  #changed(): void {
    this.#watchers.notify();
  }
}

function validateChannel(channel: unknown): string {
  if (typeof channel === "string" && /^\/[^?*]*[^?*/]$/.test(channel)) return channel;
  throw mustBe("channel", "a channel such as /event/Name__e, without pattern and filter", channel);
}
