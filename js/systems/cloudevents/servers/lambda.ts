/** Adapters for AWS Lambda behind a function URL or API Gateway. */
import { mustBe } from "../../../engine/messages.js";
import type { EventBatch } from "../batch.js";
import type { ReadOptions } from "../body.js";
import { toBase64 } from "../bytes.js";
import type { SchemaOptions } from "../data-schema.js";
import type { CloudEvent } from "../event.js";
import { batchFromRequest, fromRequest } from "../http.js";
import { isV1, type LambdaHttpEvent, toLambdaRequest } from "./lambda-event.js";
import type { FetchHandler } from "./node.js";

export type { LambdaHttpEvent } from "./lambda-event.js";

/** The response that Lambda takes from a function. */
export interface LambdaResponse {
  /** The status. */
  statusCode: number;
  /** The headers but `set-cookie`, with names in lower case. */
  headers: Record<string, string>;
  /** Only for payload format 1.0, which has no `cookies`. */
  multiValueHeaders?: Record<string, string[]>;
  /** Only for payload format 2.0 and function URLs. */
  cookies?: string[];
  /** The body: text, or Base64 of bytes that are not UTF-8. */
  body: string;
  /** Whether `body` is Base64. */
  isBase64Encoded: boolean;
}

/**
 * Reads the event of a request of a function URL or API Gateway, in binary or structured mode.
 *
 * @throws {FerryError} as `fromRequest`; `ERR_INVALID_DATA` for a body that is not Base64 although the event says so.
 */
export async function fromLambda<T = unknown>(
  event: LambdaHttpEvent,
  options: ReadOptions & SchemaOptions<T> = {},
): Promise<CloudEvent<T>> {
  return await fromRequest<T>(toLambdaRequest(event), options);
}

/** Reads the events of a request in any content mode, with the errors of `fromLambda`. */
export async function batchFromLambda(event: LambdaHttpEvent, options: ReadOptions = {}): Promise<EventBatch> {
  return await batchFromRequest(toLambdaRequest(event), options);
}

/**
 * Makes a handler for `fetch`, as `webhook` returns it, the handler of a function. It gets the event of Lambda as `env`
 * and the context as `ctx`. A body with wrong Base64 is answered with 400. If the handler throws, so does the function.
 *
 * @example
 * export const handler = toLambdaHandler(webhook({ verify, onEvent }));
 */
export function toLambdaHandler(
  handler: FetchHandler,
): (event: LambdaHttpEvent, context?: unknown) => Promise<LambdaResponse> {
  if (typeof handler !== "function") throw mustBe("handler", "a function (request) => Response", handler);
  return async (event, context) => {
    let request: Request;
    try {
      request = toLambdaRequest(event);
    } catch (error) {
      // An event of another trigger is a mistake in the configuration, and no request.
      if ((error as { culprit?: string }).culprit !== "peer") throw error;
      const text = `${(error as Error).message}\n`;
      return toLambdaResponse(new Response(text, { status: 400 }), event);
    }
    return toLambdaResponse(await handler(request, event, context), event);
  };
}

async function toLambdaResponse(response: Response, event: LambdaHttpEvent): Promise<LambdaResponse> {
  const headers: Record<string, string> = {};
  for (const [name, value] of response.headers) if (name !== "set-cookie") headers[name] = value;
  const cookies = response.headers.getSetCookie();
  const bytes = new Uint8Array(await response.arrayBuffer());
  const text = decodeUtf8(bytes);
  return {
    statusCode: response.status,
    headers,
    ...(cookies.length > 0 && (isV1(event) ? { multiValueHeaders: { "set-cookie": cookies } } : { cookies })),
    body: text ?? toBase64(bytes),
    isBase64Encoded: text === undefined,
  };
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
