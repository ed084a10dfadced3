/**
 * Salesforce: login and Streaming API, as far as a client of events sees them.
 *
 * ```text
 *   POST /salesforce/services/oauth2/token     tokens (also /revoke, /userinfo)        salesforce/oauth.ts
 *   POST /salesforce/cometd/<version>          Bayeux over long polls, with replay     salesforce/streaming.ts
 *        /salesforce/services/data/v…          platform events and pushes come in      salesforce/rest.ts
 * ```
 *
 * The same addresses are there without the prefix, because clients of Salesforce are told a host and no path.
 * `instance_url` leads back to where the login came from.
 */
import { FerryError } from "../engine/errors.js";
import type { Cors } from "./cors.js";
import type { EventMetadata } from "./salesforce/channels.js";
import type { BayeuxMessage } from "./salesforce/messages.js";
import { OAuthServer, type SalesforceAccount, type SalesforceLogin } from "./salesforce/oauth.js";
import { type EventSelection, ReplayLog, type StoredEvent } from "./salesforce/replay.js";
import { RestApi } from "./salesforce/rest.js";
import { type SalesforceRequest, StreamingServer } from "./salesforce/streaming.js";
import { TokenStore } from "./salesforce/tokens.js";
import { type SalesforceInterceptor, type SalesforceRefusal, Overrides } from "./salesforce/overrides.js";
import { type Lifetime, type Service, integer, textResponse } from "./service.js";
import { Watchers } from "./watchers.js";
import { formatValue } from "../engine/messages.js";
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

/** How the Salesforce service of an emulator works. Durations are in milliseconds. */
export interface SalesforceEmulatorOptions {
  /** Who may log in. @default everybody, with whatever key, secret, name and password, as long as none is missing */
  accounts?: readonly SalesforceAccount[];
  /** Whether each use of a refresh token brings a new one and ends the old one. @default false */
  rotateRefreshTokens?: boolean;
  /** How long an access token is good. @default 2 hours */
  tokenLifetimeMs?: number;
  /** How long a connect is held. @default 110 000 */
  timeoutMs?: number;
  /** How long after an answer the next connect may come; then the session is gone. @default 40 000 */
  sessionGapMs?: number;
  /** How many sessions there may be; one more handshake is denied. @default 1000 */
  maxClients?: number;
  /** How many events may be delivered in a day (UTC). @default without limit */
  eventsPerDay?: number;
  /** How many events one answer carries; the rest comes with the next. @default 1000 */
  maxEventsPerAnswer?: number;
  /** How many events may wait for one session; one more, and the session is gone. @default 100 000 */
  maxQueue?: number;
  /** How many events are kept for replay; the oldest go first. @default 100 000 */
  maxEvents?: number;
  /** How many bytes of events are kept, about; at least the last event stays. @default 128 MiB */
  maxBytes?: number;
  /** The largest body that `/cometd` takes; more is answered with 413. @default 32 768 */
  maxBodyBytes?: number;
  /** The replay id of the first event. @default 1 */
  firstReplayId?: number;
  /** Whether a session needs its cookie. Pages that call `emulator.fetch` cannot have cookies, so nothing is asked of those. @default true */
  requireCookie?: boolean;
  /** The HTTP status of answers that refuse the token; what they say is the same. @default 200 */
  unauthorizedStatus?: 200 | 401;
  /** The channels that exist. @default all */
  channels?: readonly string[];
  /** Whether `/u/…` and channels of no Salesforce kind take publishes over Bayeux, which Salesforce itself does not. @default true */
  allowPublish?: boolean;
  /** Whether the acknowledgement extension of CometD is there for those who ask for it, which Salesforce does not have. @default false */
  acknowledges?: boolean;
  /** Whether pages of other origins may call it, with cookies. The Streaming API itself does not let them: false is like that. @default true */
  cors?: boolean;
  /** The clock, in milliseconds since 1970: for tokens, sessions and retention. Held polls go by real time. @default Date.now */
  now?: () => number;
}

/** A session as a test sees it. */
export interface SalesforceSession {
  readonly clientId: string;
  readonly username: string;
  /** What it is subscribed to, filters included. */
  readonly subscriptions: readonly string[];
  /** Whether a poll is held for it. */
  readonly isHeld: boolean;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** The Salesforce service of an emulator, and what it has seen. */
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
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `unauthorizedStatus is 200 or 401, not ${formatValue(unauthorizedStatus)}`,
      );
    if (typeof now !== "function")
      throw new FerryError("ERR_INVALID_ARGUMENT", `now is a function, not ${formatValue(now)}`);
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
      return { reached: this.#streaming.deliver(event), replayId: event.replayId };
    });
  }

  /** The same service at the addresses that Salesforce has. @internal */
  get rootServices(): readonly Service[] {
    const handle = (request: Request, url: URL) => this.handle(request, url);
    return ["/services", "/cometd", "/id"].map((prefix) => ({ prefix, cors: this.cors, handle }));
  }

  /**
   * Publishes an event in the shape that Salesforce gives to the channel's kind: `content` is the record of a
   * PushTopic (`/topic/…`), the payload of a generic event (`/u/…`), the fields of a platform event (`/event/…`)
   * or of a change event (`/data/…`); on other channels it is the data.
   *
   * @example
   * emulator.salesforce.publish("/event/Low_Ink__e", { Ink_Percentage__c: 0.2 }).replayId; // "1"
   */
  publish(channel: string, content: unknown, particulars: EventMetadata = {}): StoredEvent {
    return this.#deliver(this.#log.add(validateChannel(channel), content, particulars));
  }

  /** Publishes an event with exactly this as its `data`; as JSON text it may hold numbers that JavaScript has not. */
  publishData(channel: string, data: unknown): StoredEvent {
    try {
      return this.#deliver(this.#log.addData(validateChannel(channel), data));
    } catch (cause) {
      throw cause instanceof FerryError
        ? cause
        : new FerryError("ERR_INVALID_ARGUMENT", "the data of an event is JSON", { cause });
    }
  }

  /** The events that are kept for replay, oldest first. A fresh list. */
  get events(): readonly StoredEvent[] {
    return this.#log.all();
  }

  /** Throws events away as if their time had come: to replay from one of them is refused then. */
  forgetEvents(which: EventSelection = {}): void {
    this.#log.forget(which);
  }

  /** The requests to `/cometd`, oldest first, 1000 at most. A fresh list. */
  get requests(): readonly SalesforceRequest[] {
    return [...this.#streaming.requests];
  }

  /** Everything that clients sent to a channel, such as `"/meta/subscribe"`, oldest first. */
  messages(channel: string): readonly BayeuxMessage[] {
    return this.#streaming.requests.flatMap(({ messages }) =>
      messages.filter((message) => message.channel === channel),
    );
  }

  /** The requests for tokens, oldest first, 1000 at most. A fresh list. */
  get logins(): readonly SalesforceLogin[] {
    return [...this.#oauth.logins];
  }

  /** The sessions that there are. A fresh list. */
  get sessions(): readonly SalesforceSession[] {
    return this.#streaming.sessions.map(({ clientId, username, subscriptions, isHeld }) => ({
      clientId,
      username,
      subscriptions: [...subscriptions.keys()],
      isHeld,
    }));
  }

  /** Forgets the requests and logins that were kept. Events, sessions and tokens stay. */
  clear(): void {
    this.#streaming.requests.length = 0;
    this.#oauth.logins.length = 0;
  }

  /**
   * A token as from a login, or the one given, for clients that come with a session. It is good until its time is
   * over or it is revoked.
   */
  issueToken(options: { username?: string; accessToken?: string } = {}): string {
    return this.#tokens.issue(options.username ?? "user@example.com", options.accessToken).accessToken;
  }

  /** All access tokens are good no more: those with a poll hear it at once. Refresh tokens stay. */
  revokeTokens(): void {
    this.#tokens.revokeAccess();
    this.#streaming.endPolls("revoked");
  }

  /** All sessions are gone: those with a poll hear `403::Unknown client` at once, the others when they come. */
  expireSessions(): void {
    this.#streaming.removeSessions("lost");
  }

  /** As when the server is started anew: polls break, sessions are gone, events and tokens stay. */
  restart(): void {
    this.#streaming.removeSessions("dropped");
  }

  /** Breaks the connections of all polls that are held. The sessions stay. */
  dropPolls(): void {
    this.#streaming.endPolls("dropped");
  }

  /** Answers all polls that are held, as if their time was over. */
  answerPolls(): void {
    this.#streaming.endPolls("time");
  }

  /** The next so many answers to polls that carry events are lost on the way: to the server they are delivered. */
  loseAnswers(times = 1): void {
    this.#overrides.loseResponses(integer("times", times, 1, 0));
  }

  /**
   * Refuses single messages, with every error that the protocol knows. Gives back how to end that.
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

  /** Has a function answer requests to `/cometd` in place of the service, or leave them to it. Gives back how to end that. */
  intercept(interceptor: SalesforceInterceptor): () => void {
    return this.#overrides.intercept(interceptor);
  }

  /** Ends what `refuse`, `intercept` and `loseAnswers` began. */
  clearOverrides(): void {
    this.#overrides.clear();
  }

  /**
   * Resolves when something is so; it is asked after each request, answer, poll and event.
   *
   * @example
   * await emulator.salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
   *
   * @param options.timeoutMs How long to wait. @default 10 000
   * @throws {FerryError} `ERR_TIMEOUT` after that time, `ERR_CLOSED` if the emulator is closed meanwhile.
   */
  async waitFor(
    condition: (salesforce: SalesforceEmulator) => boolean,
    options: { timeoutMs?: number } = {},
  ): Promise<void> {
    if (typeof condition !== "function")
      throw new FerryError("ERR_INVALID_ARGUMENT", `waitFor is given a function, not ${formatValue(condition)}`);
    await this.#watchers.until(
      () => condition(this) || undefined,
      options.timeoutMs,
      this.#lifetime,
      () => "it did not come to that",
    );
  }

  /** Answers what the emulator has found to be for this service. */
  handle(request: Request, url: URL): Response | Promise<Response> {
    const isBelow = url.pathname === this.prefix || url.pathname.startsWith(`${this.prefix}/`);
    const [area, kind, ...rest] = url.pathname
      .slice(isBelow ? this.prefix.length : 0)
      .split("/")
      .filter((part) => part !== "");
    // With a server on a socket the host is what the client has called it.
    const host = request.headers.get("host") ?? url.host;
    const base = `${url.protocol}//${host}${isBelow ? this.prefix : ""}`;
    if (area === "cometd") return this.#streaming.handle(request, kind);
    if (area === "services" && kind === "oauth2" && ["token", "revoke", "userinfo"].includes(rest[0] ?? ""))
      return this.#oauth.handle(request, rest[0]!, base);
    if (area === "id") return this.#oauth.handle(request, "id", base);
    if (area === "services" && kind === "data") return this.#rest.handle(request, url, rest);
    return textResponse(404, "there is /services/oauth2/token, /services/data/v68.0 and /cometd/68.0");
  }

  #deliver(event: StoredEvent): StoredEvent {
    this.#streaming.deliver(event);
    this.#changed();
    return event;
  }

  #changed(): void {
    this.#watchers.notify();
  }
}

function validateChannel(channel: unknown): string {
  if (typeof channel === "string" && /^\/[^?*]*[^?*/]$/.test(channel)) return channel;
  throw new FerryError(
    "ERR_INVALID_ARGUMENT",
    `events are published to a channel such as /event/Name__e, without pattern and filter, not to ${formatValue(channel)}`,
  );
}
