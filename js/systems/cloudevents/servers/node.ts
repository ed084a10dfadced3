/**
 * Adapters for servers with `node:http` and frameworks above it.
 *
 * ```text
 *   IncomingMessage, Express request, Fastify request
 *        │ body unread: a stream      │ body read by the framework: its bytes, or an error
 *        └────────────> Request <─────┘
 *                          │
 *            fromIncoming: the event    toNodeHandler: handler(request) ──> response
 * ```
 */
import { checkOptionNames } from "../../../client/options.js";
import { FerryError } from "../../../engine/errors.js";
import { mustBe } from "../../../engine/messages.js";
import { Exchange } from "../../../platform/node-exchange.js";
import { type Incoming, type Outgoing, type RequestParts, toFetchRequest } from "../../../platform/node-http.js";
import { warn } from "../../../platform/warn.js";
import type { EventBatch } from "../batch.js";
import type { ReadOptions } from "../body.js";
import type { SchemaOptions } from "../data-schema.js";
import type { CloudEvent } from "../event.js";
import { batchFromRequest, fromRequest } from "../http.js";
import { type ReadRequest, readBefore } from "./parsed-body.js";

/** A handler as `webhook` makes it, and as platforms with `fetch` take it. */
export type FetchHandler = (request: Request, env?: unknown, ctx?: unknown) => Response | Promise<Response>;

/** A request of `node:http` or Express, or of Fastify, which has that of `node:http` in `raw`. */
export interface IncomingRequest {
  /** The headers, with names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** A response of `node:http` or Express, or a reply of Fastify, which has that of `node:http` in `raw`. */
export type OutgoingResponse = object;

/** Options of `toNodeHandler`. */
export interface NodeHandlerOptions {
  /**
   * Called with an error that the handler threw, or for a body that was read before and cannot be restored. The answer is
   * 500. @default with Express `next(error)`, otherwise a warning in the console
   */
  onError?: (error: unknown, request: IncomingRequest) => unknown;
}

/** What `node:http` and the frameworks add to a request. */
interface ServerRequest extends ReadRequest, Incoming {
  readonly raw?: Incoming;
  /** Express removes the path of a router from `url`. */
  readonly originalUrl?: string;
  /** Not in all runtimes. */
  readonly readableDidRead?: boolean;
  readonly readableEnded?: boolean;
}

/**
 * Reads the event of a request in binary or structured mode. A body that a framework has parsed before is taken if that
 * was lossless.
 *
 * @throws {FerryError} as `fromRequest`; `ERR_INVALID_ARGUMENT` for a body that was read and cannot be restored.
 *
 * @example
 * createServer(async (req, res) => { const event = await fromIncoming(req, { maxBytes: 65_536 }); res.end(); })
 */
export async function fromIncoming<T = unknown>(
  request: IncomingRequest,
  options: ReadOptions & SchemaOptions<T> = {},
): Promise<CloudEvent<T>> {
  return await fromRequest<T>(requestOf(request), options);
}

/** Reads the events of a request in any content mode, with the errors of `fromIncoming`. */
export async function batchFromIncoming(request: IncomingRequest, options: ReadOptions = {}): Promise<EventBatch> {
  return await batchFromRequest(requestOf(request), options);
}

/**
 * Makes a handler for `fetch`, as `webhook` returns it, one for `node:http`, Express and Fastify. It gets the request and
 * the response of the framework as `env` and `ctx`. The signal of the request aborts when the client leaves. A client that
 * still sends its body 5 seconds after the response is disconnected.
 *
 * @example
 * app.post("/hooks", toNodeHandler(webhook({ verify, onEvent })));
 */
export function toNodeHandler(
  handler: FetchHandler,
  options: NodeHandlerOptions = {},
): (request: IncomingRequest, response: OutgoingResponse, next?: (error?: unknown) => void) => void {
  if (typeof handler !== "function") throw mustBe("handler", "a function (request) => Response", handler);
  checkOptionNames("toNodeHandler", options, ["onError"]);
  const { onError } = options;
  if (onError !== undefined && typeof onError !== "function") throw mustBe("onError", "a function", onError);
  return (request, response, next) => {
    const incoming = incomingOf(request);
    const reply = response as { raw?: Outgoing; hijack?(): void };
    // Fastify then leaves the response to us.
    reply.hijack?.();
    const outgoing = reply.raw ?? (response as Outgoing);
    const onFailure = (error: unknown) => {
      if (onError !== undefined) notify(onError, error, request);
      else if (typeof next === "function") return next(error);
      else warn(`a request could not be handled: ${error}`);
      fail(outgoing);
    };
    let parts: RequestParts;
    try {
      parts = partsOf(request, incoming);
    } catch (error) {
      return onFailure(error);
    }
    const exchange = new Exchange(incoming, outgoing, { ...parts, closesConnection: false, onFailure });
    void exchange.run((fetched) => handler(fetched, request, response));
  };
}

/** Calls a callback that only listens. What it throws, or rejects with, changes nothing. */
function notify(onError: NonNullable<NodeHandlerOptions["onError"]>, error: unknown, request: IncomingRequest): void {
  try {
    const result = onError(error, request);
    if (result instanceof Promise) result.catch(() => undefined);
  } catch {
    // The callback belongs to the caller.
  }
}

/** The answer to a request whose handler has thrown. */
function fail(outgoing: Outgoing): void {
  if (outgoing.headersSent) {
    // Half of a response must not look like a whole one.
    if (!outgoing.writableEnded) outgoing.socket?.destroy();
    return;
  }
  outgoing.statusCode = 500;
  outgoing.setHeader("content-type", "text/plain; charset=utf-8");
  outgoing.write(new TextEncoder().encode("the request could not be handled\n"));
  outgoing.end();
}

/** The request of `node:http`, which Fastify has in `raw`. */
function incomingOf(request: IncomingRequest): ServerRequest {
  const given = request as unknown as ServerRequest;
  const incoming = (given?.raw ?? given) as ServerRequest;
  if (typeof incoming?.rawHeaders === "object" && typeof incoming.on === "function") return incoming;
  const advice = given instanceof Request ? "a Request of fetch is read with fromRequest" : undefined;
  throw mustBe("request", "a request of node:http, Express or Fastify", request, advice);
}

/** Target and body of the request. @throws {FerryError} for a body that was read and cannot be restored. */
function partsOf(request: IncomingRequest, incoming: ServerRequest): RequestParts {
  const { headers, originalUrl, url } = incoming;
  const { body, rawBody } = request as ReadRequest;
  const scheme = incoming.socket?.encrypted ? "https" : "http";
  const isRead = incoming.readableDidRead ?? incoming.readableEnded ?? false;
  const hasBody = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
  return {
    origin: originOf(scheme, headers["host"] ?? headers[":authority"]),
    target: originalUrl ?? url,
    ...(isRead && hasBody && readBefore({ headers, body, rawBody })),
  };
}

/** The origin that the client has named. Nobody has checked it, and it is only part of the URL of the Request. */
function originOf(scheme: string, host: unknown): string {
  try {
    return new URL(`${scheme}://${host}`).origin;
  } catch {
    return `${scheme}://localhost`;
  }
}

/** The request as one of `fetch`. */
function requestOf(request: IncomingRequest): Request {
  const incoming = incomingOf(request);
  const parts = partsOf(request, incoming);
  try {
    return toFetchRequest(incoming, parts).request;
  } catch (cause) {
    throw new FerryError("ERR_NOT_A_CLOUDEVENT", "a Request cannot represent the method or target", { cause });
  }
}
