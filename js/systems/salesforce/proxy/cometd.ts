/**
 * Bayeux through the proxy.
 *
 * ```text
 *   body ─> messages ─> those that may not be are answered here
 *                   └─> the rest, with the client id of Salesforce ─> Salesforce, with token and cookies
 *   answer ─> a handshake: its client id takes the cookies with it
 *         └─> the token refused, and the proxy has the token: once more with a new one
 *         └─> all else streams through
 * ```
 */
import { isFerryError } from "../../../engine/errors.js";
import { HIDDEN, mustBe } from "../../../engine/messages.js";
import { json, text } from "./answers.js";
import { exactly } from "./lossless-json.js";
import { cookiesAfter, jarred, unjarred } from "./session-cookies.js";
import { textOf, type Upstream } from "./upstream.js";

/** What is carried, and where to. */
export interface CometdRules {
  instanceUrl: string;
  accessToken: ((request: Request, renew: boolean) => string | Promise<string>) | undefined;
  /** What may be subscribed to; undefined for all. */
  channels: readonly string[] | undefined;
  maxRequestBytes: number;
}

interface Message {
  readonly channel?: unknown;
  readonly id?: unknown;
  readonly clientId?: unknown;
  readonly subscription?: unknown;
  readonly [field: string]: unknown;
}

/** What is to be sent, apart from the token. */
interface Parcel {
  body: string;
  cookies: string | undefined;
  isHandshake: boolean;
  isPoll: boolean;
}

/** A short answer is looked into before it goes on: all that refuse a token are short. */
const PEEK_BYTES = 2048;
const MAX_HANDSHAKE_BYTES = 64 * 1024;
/** What is let through where channels are restricted, beside subscriptions to those. */
const PASSING: readonly unknown[] = ["/meta/handshake", "/meta/connect", "/meta/unsubscribe", "/meta/disconnect"];
const ONE_BELOW = /^(?:[\w!~()$@-]+|\*)$/;
const BELOW = /^(?:[\w!~()$@-]+\/)*(?:[\w!~()$@-]+|\*\*?)$/;

/** The streaming endpoint. */
export class Cometd {
  readonly #upstream: Upstream;
  readonly #rules: CometdRules;

  constructor(upstream: Upstream, rules: CometdRules) {
    this.#upstream = upstream;
    this.#rules = rules;
  }

  /** Carries one request. */
  async carry(request: Request, version: string, suffix: string, onError: (error: unknown) => void): Promise<Response> {
    if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? ""))
      return text(415, "content-type must be application/json");
    let body: string;
    try {
      body = await textOf(request, this.#rules.maxRequestBytes);
    } catch (error) {
      if (isFerryError(error, "ERR_TOO_LARGE"))
        return json(413, JSON.stringify([{ successful: false, error: "413::Maximum Request Size Exceeded" }]));
      return text(400, "the messages could not be read");
    }
    const found = messagesOf(body);
    if (!found) return text(400, "the body must be a Bayeux message or a non-empty array of them");
    const refusals = found.messages
      .filter((message) => !this.#admits(message))
      .map((message) => JSON.stringify(refusalOf(message)));
    const carried = found.messages
      .filter((message) => this.#admits(message))
      .map((message) => (refusals.length > 0 ? unheld(message) : message));
    if (carried.length === 0) return json(200, `[${refusals.join(",")}]`);
    const parcel = parcelOf(carried, found.write);
    if (!parcel) return text(400, "all messages must have the same clientId, one that the proxy has issued");
    try {
      return await this.#deliver(parcel, refusals, `${this.#rules.instanceUrl}/cometd/${version}${suffix}`, request);
    } catch (error) {
      onError(error);
      if (isFerryError(error, "ERR_TIMEOUT")) return text(504, "Salesforce did not answer in time");
      return text(502, "the messages could not be forwarded to Salesforce");
    }
  }

  async #deliver(parcel: Parcel, refusals: readonly string[], url: string, request: Request): Promise<Response> {
    const { accessToken } = this.#rules;
    for (let renew = false; ; renew = true) {
      const token: unknown = await accessToken?.(request, renew);
      if (accessToken && (typeof token !== "string" || token === ""))
        throw mustBe("the result of accessToken", "a non-empty string", HIDDEN);
      const authorization = accessToken ? `Bearer ${token as string}` : request.headers.get("authorization");
      const headers = {
        "content-type": "application/json; charset=utf-8",
        accept: "application/json",
        ...(authorization !== null && { authorization }),
        ...(parcel.cookies !== undefined && { cookie: parcel.cookies }),
      };
      const answer = await this.#upstream.post(url, headers, parcel.body, {
        isPoll: parcel.isPoll,
        signal: request.signal,
      });
      const { status } = answer;
      const retryAfter = answer.headers.get("retry-after");
      // Pages of a gateway are for people, and may say more than a page needs to know.
      if (!/^application\/json\s*(;|$)/i.test(answer.headers.get("content-type") ?? "")) {
        await answer.body?.cancel().catch(() => undefined);
        if (accessToken && status === 401 && !renew) continue;
        return text(
          status < 400 ? 502 : status,
          "Salesforce answered with something other than JSON",
          retryAfter === null ? {} : { "retry-after": retryAfter },
        );
      }
      const { start, rest } =
        accessToken || parcel.isHandshake
          ? await peeked(answer, parcel.isHandshake ? MAX_HANDSHAKE_BYTES : PEEK_BYTES)
          : { start: undefined, rest: answer.body };
      if (start !== undefined && rest === null) {
        // The whole answer is here.
        if (accessToken && !renew && refusesToken(status, start)) continue;
        return json(
          status,
          withRefusals(
            parcel.isHandshake ? shaken(start, cookiesAfter(answer.headers, parcel.cookies)) : start,
            refusals,
          ),
          retryAfter,
        );
      }
      if (refusals.length === 0) return json(status, rest, retryAfter);
      return json(status, withRefusals(await textOf(new Response(rest), Infinity), refusals), retryAfter);
    }
  }

  #admits({ channel, subscription }: Message): boolean {
    const { channels } = this.#rules;
    if (!channels || PASSING.includes(channel)) return true;
    // By the exact name: to a server that trims names, others may mean the same.
    if (channel !== "/meta/subscribe") return false;
    const names = [subscription].flat();
    return (
      names.length > 0 &&
      names.every(
        (name) => typeof name === "string" && channels.some((allowed) => covers(allowed, name.split("?")[0]!)),
      )
    );
  }
}

/** Whether everything that a subscription would bring is allowed by one channel or pattern. */
function covers(allowed: string, asked: string): boolean {
  if (allowed === asked) return true;
  const [, start, stars] = /^(.*\/)(\*\*?)$/.exec(allowed) ?? [];
  if (start === undefined || !asked.startsWith(start)) return false;
  return (stars === "**" ? BELOW : ONE_BELOW).test(asked.slice(start.length));
}

function refusalOf({ channel, id, clientId, subscription }: Message): object {
  return { channel, id, clientId, subscription, successful: false, error: "403::Restricted channel" };
}

/** A connect that lost its company must not be held for that: the others wait for their answers. */
function unheld(message: Message): Message {
  if (message.channel !== "/meta/connect") return message;
  return { ...message, advice: { ...(message["advice"] as object | undefined), timeout: 0 } };
}

function messagesOf(body: string): { messages: Message[]; write: (value: unknown) => string } | undefined {
  try {
    const { value, write } = exactly(body);
    const messages = [value].flat();
    const areMessages =
      messages.length > 0 &&
      messages.every((message) => typeof message === "object" && message !== null && !Array.isArray(message));
    return areMessages ? { messages: messages as Message[], write } : undefined;
  } catch {
    return undefined;
  }
}

/** All messages of a request are of one session. */
function parcelOf(carried: readonly Message[], write: (value: unknown) => string): Parcel | undefined {
  const ids = new Set(carried.map(({ clientId }) => clientId).filter((id) => id !== undefined && id !== null));
  const [id] = ids;
  if (ids.size > 1 || (id !== undefined && typeof id !== "string")) return undefined;
  const session = id === undefined ? undefined : unjarred(id);
  if (id !== undefined && !session) return undefined;
  const messages = carried.map((message) =>
    message.clientId === id && session ? { ...message, clientId: session.clientId } : message,
  );
  const channels = carried.map(({ channel }) => channel);
  return {
    body: write(messages),
    cookies: session?.cookies,
    isHandshake: channels.includes("/meta/handshake"),
    isPoll: channels.includes("/meta/connect"),
  };
}

/** The text of a short body; or what there is of a longer one, put back in front of the rest. */
async function peeked(
  answer: Response,
  most: number,
): Promise<{ start: string | undefined; rest: ReadableStream<Uint8Array> | null }> {
  if (answer.body === null) return { start: "", rest: null };
  const reader = answer.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size <= most) {
    const { done, value } = await reader.read();
    if (done) {
      const decoder = new TextDecoder();
      return {
        start: chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode(),
        rest: null,
      };
    }
    chunks.push(value);
    size += value.length;
  }
  const rest = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = chunks.shift();
        if (chunk) return controller.enqueue(chunk);
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return { start: undefined, rest };
}

/** Whether an answer says that the token is refused, and carries nothing that would be lost if it was thrown away. */
function refusesToken(status: number, body: string): boolean {
  if (status === 401) return true;
  const messages = messagesOf(body)?.messages as
    | { successful?: unknown; error?: unknown; data?: unknown; ext?: { sfdc?: { failureReason?: unknown } } }[]
    | undefined;
  if (!messages || messages.some(({ data }) => data !== undefined)) return false;
  return messages.some(
    ({ successful, error, ext }) =>
      successful === false && String(ext?.sfdc?.failureReason ?? error).startsWith("401::"),
  );
}

/** The answer to a handshake, with cookies in its client id. */
function shaken(body: string, cookies: string | undefined): string {
  const found = messagesOf(body);
  if (!found || cookies === undefined) return body;
  const { messages, write } = found;
  return write(
    messages.map((message) =>
      message.channel === "/meta/handshake" && typeof message.clientId === "string"
        ? { ...message, clientId: jarred({ clientId: message.clientId, cookies }) }
        : message,
    ),
  );
}

/** An array of messages, with those of the proxy in front. */
function withRefusals(body: string, refusals: readonly string[]): string {
  const rest = /^\s*\[\s*(.*)$/s.exec(body)?.[1];
  if (refusals.length === 0 || rest === undefined) return body;
  return `[${refusals.join(",")}${rest.startsWith("]") ? "" : ","}${rest}`;
}
