/**
 * Bayeux through the proxy.
 *
 * ```text
 *   body ─> messages ─> subscriptions that may not be are answered here
 *                   └─> the rest, byte for byte but for the client id ─> Salesforce, with token and cookies
 *   answer ─> a handshake: its client id takes the cookies with it
 *         └─> the token refused, and the proxy has the token: once more with a new one
 *         └─> all else streams through
 * ```
 */
import { FerryError, isFerryError } from "../../errors.js";
import { json, text } from "./answers.js";
import { cookiesAfter, jarred, unjarred } from "./jar.js";
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

interface Carried {
  readonly message: Message;
  /** As it is written. */
  readonly source: string;
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
    if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? "")) return text(415, "the messages are JSON, application/json");
    let body: string;
    try {
      body = await textOf(request, this.#rules.maxRequestBytes);
    } catch (error) {
      if (isFerryError(error, "ERR_TOO_LARGE")) return json(413, JSON.stringify([{ successful: false, error: "413::Maximum Request Size Exceeded" }]));
      return text(400, "the messages could not be read");
    }
    const messages = messagesOf(body);
    if (!messages) return text(400, "the body is no Bayeux message and no array of them");
    const refusals = messages.filter(({ message }) => !this.#admits(message)).map(({ message }) => JSON.stringify(refusalOf(message)));
    const carried = messages.filter(({ message }) => this.#admits(message)).map((one) => (refusals.length > 0 ? unheld(one) : one));
    if (carried.length === 0) return json(200, `[${refusals.join(",")}]`);
    const parcel = parcelOf(carried);
    if (!parcel) return text(400, "the messages have client ids that the proxy did not give out, or several");
    try {
      return await this.#deliver(parcel, refusals, `${this.#rules.instanceUrl}/cometd/${version}${suffix}`, request);
    } catch (error) {
      onError(error);
      if (isFerryError(error, "ERR_TIMEOUT")) return text(504, "Salesforce did not answer in time");
      return text(502, "the messages could not be carried to Salesforce");
    }
  }

  async #deliver(parcel: Parcel, refusals: readonly string[], url: string, request: Request): Promise<Response> {
    const { accessToken } = this.#rules;
    for (let renew = false; ; renew = true) {
      const token: unknown = await accessToken?.(request, renew);
      if (accessToken && (typeof token !== "string" || token === "")) throw new FerryError("ERR_INVALID_ARGUMENT", "accessToken gave no text");
      const authorization = accessToken ? `Bearer ${token as string}` : request.headers.get("authorization");
      const headers = {
        "content-type": "application/json; charset=utf-8",
        accept: "application/json",
        ...(authorization !== null && { authorization }),
        ...(parcel.cookies !== undefined && { cookie: parcel.cookies }),
      };
      const answer = await this.#upstream.post(url, headers, parcel.body, { isPoll: parcel.isPoll, signal: request.signal });
      const { status } = answer;
      const retryAfter = answer.headers.get("retry-after");
      // Pages of a gateway are for people, and may say more than a page needs to know.
      if (!/^application\/json\s*(;|$)/i.test(answer.headers.get("content-type") ?? "")) {
        await answer.body?.cancel().catch(() => undefined);
        if (accessToken && status === 401 && !renew) continue;
        return text(status < 400 ? 502 : status, "Salesforce answered with something other than JSON", retryAfter === null ? {} : { "retry-after": retryAfter });
      }
      const { start, rest } = accessToken || parcel.isHandshake ? await peeked(answer, parcel.isHandshake ? MAX_HANDSHAKE_BYTES : PEEK_BYTES) : { start: undefined, rest: answer.body };
      if (start !== undefined && rest === null) {
        // The whole answer is here.
        if (accessToken && !renew && refusesToken(status, start)) continue;
        return json(status, withRefusals(parcel.isHandshake ? shaken(start, cookiesAfter(answer.headers, parcel.cookies)) : start, refusals), retryAfter);
      }
      if (refusals.length === 0) return json(status, rest, retryAfter);
      return json(status, withRefusals(await textOf(new Response(rest), Infinity), refusals), retryAfter);
    }
  }

  #admits({ channel, subscription }: Message): boolean {
    const { channels } = this.#rules;
    if (!channels) return true;
    if (typeof channel !== "string" || !channel.startsWith("/meta/")) return false;
    if (channel !== "/meta/subscribe") return true;
    const names = [subscription].flat();
    return names.length > 0 && names.every((name) => typeof name === "string" && channels.some((allowed) => covers(allowed, name.split("?")[0]!)));
  }
}

/** Whether everything that a subscription would bring is allowed by one channel or pattern. */
function covers(allowed: string, asked: string): boolean {
  if (allowed === asked) return true;
  const [, start, stars] = /^(.*\/)(\*\*?)$/.exec(allowed) ?? [];
  if (start === undefined || !asked.startsWith(start) || asked.length === start.length) return false;
  return stars === "**" || !/\/|\*\*$/.test(asked.slice(start.length));
}

function refusalOf({ channel, id, clientId, subscription }: Message): object {
  return { channel, id, clientId, subscription, successful: false, error: "403::Restricted channel" };
}

/** A connect that lost its company must not be held for that: the others wait for their answers. */
function unheld({ message, source }: Carried): Carried {
  if (message.channel !== "/meta/connect") return { message, source };
  const advice = { ...(message["advice"] as object | undefined), timeout: 0 };
  return { message, source: JSON.stringify({ ...message, advice }) };
}

/** The messages of a body, each with its own text, so that numbers which JavaScript has not stay what they are. */
function messagesOf(body: string): Carried[] | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return undefined;
  }
  const messages = [parsed].flat();
  if (messages.length === 0 || !messages.every((message) => typeof message === "object" && message !== null && !Array.isArray(message))) return undefined;
  const sources = Array.isArray(parsed) ? elements(body) : [body];
  return messages.map((message, at) => ({ message: message as Message, source: sources[at]! }));
}

/** The elements of a JSON array as they are written. Of text that has been parsed before. */
function elements(array: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (const { 0: token, index } of array.matchAll(/"(?:[^"\\]+|\\.)*"|[[\]{}]/gs)) {
    if (token === "[" || token === "{") {
      if (depth++ === 1) start = index;
    } else if (token === "]" || token === "}") {
      if (--depth === 1) found.push(array.slice(start, index + 1));
    }
  }
  return found;
}

/** All messages of a request are of one session, whose id may be in them once in whatever way it is written. */
function parcelOf(carried: readonly Carried[]): Parcel | undefined {
  const ids = new Set(carried.flatMap(({ message: { clientId } }) => (clientId === undefined || clientId === null ? [] : [clientId])));
  const [id] = ids;
  if (ids.size > 1 || (id !== undefined && typeof id !== "string")) return undefined;
  const session = id === undefined ? undefined : unjarred(id);
  if (id !== undefined && !session) return undefined;
  const sources = carried.map(({ source }) => (session?.cookies === undefined ? source : source.replaceAll(`"${id as string}"`, JSON.stringify(session.clientId))));
  const body = `[${sources.join(",")}]`;
  // An id that was written with escapes is still there, cookies and all.
  if (session?.cookies !== undefined && (JSON.parse(body) as Message[]).some(({ clientId }) => clientId === id)) return undefined;
  const channels = carried.map(({ message }) => message.channel);
  return { body, cookies: session?.cookies, isHandshake: channels.includes("/meta/handshake"), isPoll: channels.includes("/meta/connect") };
}

/** The text of a short body; or what there is of a longer one, put back in front of the rest. */
async function peeked(answer: Response, most: number): Promise<{ start: string | undefined; rest: ReadableStream<Uint8Array> | null }> {
  if (answer.body === null) return { start: "", rest: null };
  const reader = answer.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size <= most) {
    const { done, value } = await reader.read();
    if (done) {
      const decoder = new TextDecoder();
      return { start: chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode(), rest: null };
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
  const messages = messagesOf(body)?.map(({ message }) => message as { successful?: unknown; error?: unknown; data?: unknown; ext?: { sfdc?: { failureReason?: unknown } } });
  if (!messages || messages.some(({ data }) => data !== undefined)) return false;
  return messages.some(({ successful, error, ext }) => successful === false && String(ext?.sfdc?.failureReason ?? error).startsWith("401::"));
}

/** The answer to a handshake, with cookies in its client id. */
function shaken(body: string, cookies: string | undefined): string {
  const messages = messagesOf(body);
  if (!messages || cookies === undefined) return body;
  return JSON.stringify(
    messages.map(({ message }) => (message.channel === "/meta/handshake" && typeof message.clientId === "string" ? { ...message, clientId: jarred({ clientId: message.clientId, cookies }) } : message)),
  );
}

function withRefusals(body: string, refusals: readonly string[]): string {
  if (refusals.length === 0) return body;
  const sources = messagesOf(body)?.map(({ source }) => source) ?? [];
  return `[${[...refusals, ...sources].join(",")}]`;
}
