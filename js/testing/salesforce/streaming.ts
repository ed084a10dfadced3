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
 * This file answers requests. The replies to messages are made in `handshakes.ts`, `connects.ts` and `subscriptions.ts`,
 * and `callers.ts` checks who sends them. The state of a session is in `session.ts`, the stored events in `replay.ts`, the
 * error texts in `messages.ts`.
 */
import { readBody } from "../../systems/cloudevents/body.js";
import { isFerryError } from "../../engine/errors.js";
import { TextDecoder } from "../../platform/text.js";
import { connectionReset } from "../faults.js";
import { type Caller, identifyCaller, rejection } from "./callers.js";
import { holdConnect } from "./connects.js";
import { DailyLimit } from "./daily-limit.js";
import { answerHandshake, routingCookie } from "./handshakes.js";
import { jsonResponse, jsonTextResponse } from "./json.js";
import {
  type BayeuxMessage,
  CONNECT,
  ERRORS,
  HANDSHAKE,
  parseMessages,
  refused,
  type Reply,
  replyTexts,
  versionError,
} from "./messages.js";
import type { Session } from "./session.js";
import { SessionTable } from "./session-table.js";
import type { StreamingDependencies } from "./streaming-rules.js";
import { Subscriptions } from "./subscriptions.js";

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

const MAX_REQUESTS = 1000;

/** The server behind `/cometd`. */
export class StreamingServer {
  readonly requests: SalesforceRequest[] = [];
  readonly sessions: SessionTable;
  readonly #dependencies: StreamingDependencies;
  readonly #limit: DailyLimit;
  readonly #subscriptions: Subscriptions;

  constructor(dependencies: StreamingDependencies) {
    const { rules, now } = dependencies;
    this.#dependencies = dependencies;
    this.sessions = new SessionTable(now);
    this.#limit = new DailyLimit(rules.eventsPerDay, now);
    this.#subscriptions = new Subscriptions(dependencies, this.sessions, this.#limit);
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
    const caller = identifyCaller(request, this.#dependencies.tokens);
    // Other messages beside a handshake are ignored.
    const answer = handshake
      ? answerHandshake(handshake, caller, this.#dependencies, this.sessions)
      : await this.#answer(messages, caller, request);
    onChange();
    return answer;
  }

  async #answer(messages: readonly BayeuxMessage[], caller: Caller, request: Request): Promise<Response> {
    const { rules, overrides, now } = this.#dependencies;
    const replies: Reply[] = [];
    let session: Session | undefined;
    let isConnect = false;
    for (const message of messages) {
      const found = this.sessions.find(message.clientId, caller.browserCookie);
      const problem = rejection(message, found, caller) ?? overrides.refusalFor(message);
      session ??= found;
      if (problem) replies.push(problem);
      else if (message.channel === CONNECT) {
        isConnect = true;
        const isAlone = messages.length === 1;
        const reply = await holdConnect(message, found!, isAlone, request, this.#dependencies, this.#limit);
        if (reply === undefined) return new Response(null, { status: 500 });
        replies.push(reply);
      } else replies.push(this.#subscriptions.reply(message, found!));
    }
    // The session may have been removed while the connect was held. A client whose token is refused gets no events.
    const mayReceive =
      session &&
      this.sessions.has(session) &&
      !replies.some(({ error }) => error === ERRORS.badToken || error === ERRORS.noToken);
    const events = mayReceive ? session!.take(isConnect) : [];
    if (session?.acknowledges && isConnect)
      for (const reply of replies)
        if (reply["channel"] === CONNECT && reply.successful) reply["ext"] = { ack: session.batch };
    session?.noteResponse(now());
    this.#limit.count(events.length);
    if (isConnect && events.length > 0 && overrides.takeLostResponse()) throw connectionReset();
    const isUnauthorized = replies.every(({ error }) => error === ERRORS.badToken || error === ERRORS.noToken);
    const text = `[${[...events.map((event) => event.text), ...replyTexts(replies, session?.takeGoodbye())].join(",")}]`;
    const answer = jsonTextResponse(isUnauthorized ? rules.unauthorizedStatus : 200, text);
    // As if another server of the cluster had received the request and takes the following ones.
    if (replies.some(({ error }) => error === ERRORS.unknownClient))
      answer.headers.append("set-cookie", routingCookie(now()));
    return answer;
  }
}
