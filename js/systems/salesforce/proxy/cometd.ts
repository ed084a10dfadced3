/**
 * Forwards Bayeux messages.
 *
 * ```text
 *   request ─> messages ─┬─> not allowed: the proxy replies
 *                        └─> allowed: with the client id that Salesforce issued ─> Salesforce, with token and cookies
 *   response ─┬─> handshake: its client id gets the cookies
 *             ├─> token refused, and the proxy has the token: sent once more with a new one
 *             └─> anything else is streamed through
 * ```
 */
import { checkBareToken } from "../../../client/options.js";
import { isFerryError } from "../../../engine/errors.js";
import { HIDDEN, mustBe } from "../../../engine/messages.js";
import { isAllowed, refusalOf } from "./channel-rules.js";
import {
  type OutgoingRequest,
  parseMessages,
  refusesToken,
  toOutgoing,
  withCookies,
  withoutHold,
  withRefusals,
} from "./messages.js";
import { jsonResponse, textResponse } from "./responses.js";
import { cookiesAfter } from "./session-cookies.js";
import { readText, type Upstream } from "./upstream.js";
import { TextDecoder } from "../../../platform/text.js";

/** What is forwarded, and where to. */
export interface CometdOptions {
  instanceUrl: string;
  accessToken: ((request: Request, renew: boolean) => string | Promise<string>) | undefined;
  /** Channels that may be subscribed to; undefined for all. */
  channels: readonly string[] | undefined;
  maxRequestBytes: number;
}

/** A response up to this size is read before it is forwarded. Every response that refuses a token is shorter. */
const PEEK_BYTES = 2048;
const MAX_HANDSHAKE_BYTES = 64 * 1024;

/** The streaming endpoint. */
export class CometdProxy {
  readonly #upstream: Upstream;
  readonly #options: CometdOptions;

  constructor(upstream: Upstream, options: CometdOptions) {
    this.#upstream = upstream;
    this.#options = options;
  }

  /** Forwards one request. `suffix` is what the path has behind the version. */
  async forward(
    request: Request,
    version: string,
    suffix: string,
    onError: (error: unknown) => void,
  ): Promise<Response> {
    const { channels, instanceUrl, maxRequestBytes } = this.#options;
    if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? ""))
      return textResponse(415, "content-type must be application/json");
    let body: string;
    try {
      body = await readText(request, maxRequestBytes);
    } catch (error) {
      if (isFerryError(error, "ERR_TOO_LARGE"))
        return jsonResponse(413, JSON.stringify([{ successful: false, error: "413::Maximum Request Size Exceeded" }]));
      return textResponse(400, "the messages could not be read");
    }
    const parsed = parseMessages(body);
    if (!parsed) return textResponse(400, "the body must be a Bayeux message or a non-empty array of them");
    const { messages, write } = parsed;
    const refusals = messages
      .filter((message) => !isAllowed(message, channels))
      .map((message) => JSON.stringify(refusalOf(message)));
    const allowed = messages
      .filter((message) => isAllowed(message, channels))
      .map((message) => (refusals.length > 0 ? withoutHold(message) : message));
    if (allowed.length === 0) return jsonResponse(200, `[${refusals.join(",")}]`);
    const outgoing = toOutgoing(allowed, write);
    if (!outgoing) return textResponse(400, "all messages must have the same clientId, one that the proxy has issued");
    try {
      return await this.#send(outgoing, refusals, `${instanceUrl}/cometd/${version}${suffix}`, request);
    } catch (error) {
      onError(error);
      if (isFerryError(error, "ERR_TIMEOUT")) return textResponse(504, "Salesforce did not answer in time");
      return textResponse(502, "the messages could not be forwarded to Salesforce");
    }
  }

  async #send(
    outgoing: OutgoingRequest,
    refusals: readonly string[],
    url: string,
    request: Request,
  ): Promise<Response> {
    const { accessToken } = this.#options;
    for (let renew = false; ; renew = true) {
      const headers = await this.#headers(outgoing, request, renew);
      const response = await this.#upstream.post(url, headers, outgoing.body, {
        isPoll: outgoing.isPoll,
        signal: request.signal,
      });
      const { status } = response;
      const retryAfter = response.headers.get("retry-after");
      // The HTML page of a gateway may reveal more than the page of the caller needs to know.
      if (!/^application\/json\s*(;|$)/i.test(response.headers.get("content-type") ?? "")) {
        // Not awaited, because that of a cloned response does not settle before the clone is read.
        response.body?.cancel().catch(() => undefined);
        if (accessToken && status === 401 && !renew) continue;
        return textResponse(
          status < 400 ? 502 : status,
          "Salesforce answered with something other than JSON",
          retryAfter === null ? {} : { "retry-after": retryAfter },
        );
      }
      const { text, remainder } =
        accessToken || outgoing.isHandshake
          ? await readIfShort(response, outgoing.isHandshake ? MAX_HANDSHAKE_BYTES : PEEK_BYTES)
          : { text: undefined, remainder: response.body };
      if (text !== undefined) {
        if (accessToken && !renew && refusesToken(status, text)) continue;
        const body = outgoing.isHandshake ? withCookies(text, cookiesAfter(response.headers, outgoing.cookies)) : text;
        return jsonResponse(status, withRefusals(body, refusals), retryAfter);
      }
      if (refusals.length === 0) return jsonResponse(status, remainder, retryAfter);
      return jsonResponse(
        status,
        withRefusals(await readText(new Response(remainder), Infinity), refusals),
        retryAfter,
      );
    }
  }

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` if `accessToken` returns no token; whatever it throws */
  async #headers(outgoing: OutgoingRequest, request: Request, renew: boolean): Promise<Record<string, string>> {
    const { accessToken } = this.#options;
    const token: unknown = await accessToken?.(request, renew);
    if (accessToken && (typeof token !== "string" || token === ""))
      throw mustBe("the result of accessToken", "a non-empty string", HIDDEN);
    if (typeof token === "string") checkBareToken("the result of accessToken", token);
    const authorization = accessToken ? `Bearer ${token as string}` : request.headers.get("authorization");
    return {
      "content-type": "application/json; charset=utf-8",
      accept: "application/json",
      ...(authorization !== null && { authorization }),
      ...(outgoing.cookies !== undefined && { cookie: outgoing.cookies }),
    };
  }
}

/** Reads a body of at most `maxBytes` as text. A longer body is returned as a stream, unread part included. */
async function readIfShort(
  response: Response,
  maxBytes: number,
): Promise<{ text: string | undefined; remainder: ReadableStream<Uint8Array> | null }> {
  if (response.body === null) return { text: "", remainder: null };
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size <= maxBytes) {
    const { done, value } = await reader.read();
    if (done) {
      const decoder = new TextDecoder();
      const text = chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode();
      return { text, remainder: null };
    }
    chunks.push(value);
    size += value.length;
  }
  const remainder = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = chunks.shift();
        if (chunk) {
          controller.enqueue(chunk);
          return;
        }
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return { text: undefined, remainder };
}
