/** Bodies of HTTP messages. */
import { FerryError } from "../../engine/errors.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import { type BodyReader, readerOf } from "../../platform/body-reader.js";
import { concat } from "../../platform/bytes.js";
import { startTimer, stopTimer, type Timer } from "../../platform/clock.js";
import type { BatchOptions } from "./batch-options.js";
import { asBytes, isBytes } from "./bytes.js";
import { inflate } from "./content-encoding.js";
import type { EnvelopeOptions } from "./envelopes.js";

/** A body in any of the shapes that platforms have. */
export type Body = string | Uint8Array | ArrayBuffer | null | undefined;

/** Options of readers that take a whole body. */
export interface ReadOptions extends BatchOptions, EnvelopeOptions {
  /**
   * The largest body that is read, in bytes, also after it was inflated. A larger body is rejected with `ERR_TOO_LARGE`.
   * With a higher limit one sender can use more memory. @default 16 MiB
   */
  maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;

/** A copy of the body, so that the caller cannot change it later. */
export function copyBody(body: Body): string | Uint8Array | undefined {
  if (body === null || body === undefined) return undefined;
  if (typeof body === "string") return body;
  if (isBytes(body)) return asBytes(body).slice();
  throw mustBe("body", "a string, a Uint8Array or an ArrayBuffer", body, bodyAdvice(body));
}

function bodyAdvice(body: object): string | undefined {
  if (Object.getPrototypeOf(body) === Object.prototype || Array.isArray(body))
    return 'it was parsed before; use fromIncoming of eventferry/node, or express.raw({ type: "*/*" }) as the body parser';
  if (typeof (body as ReadableStream).getReader === "function") return "read the stream first, or use fromRequest";
  return undefined;
}

/**
 * Rejects what is not a Request or a Response, for example a request of Node's http module or of Express.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function checkMessage(message: Request | Response): void {
  if (typeof message?.headers?.get === "function") return;
  const isNode = typeof (message as { headers?: unknown } | undefined)?.headers === "object";
  const advice =
    "for a request of Node's http module or of Express, use fromIncoming of eventferry/node, or read its body and call fromHttp(request.headers, body)";
  throw mustBe("message", "a Request or a Response", message, isNode ? advice : undefined);
}

/**
 * Reads a body up to the limit and undoes its content encodings, also up to the limit. A Response that `fetch` returned
 * has no encodings any more, although its headers still name them.
 */
export async function readDecodedBody(message: Request | Response, options: ReadOptions = {}): Promise<Uint8Array> {
  const bytes = await readBody(message, options);
  const isFetched = "status" in message && message.url !== "";
  const coding = message.headers.get("content-encoding");
  return coding === null || isFetched ? bytes : inflate(bytes, coding, options.maxBytes ?? DEFAULT_MAX_BYTES);
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for a limit that is not a number of bytes. */
export function checkLimit(maxBytes: unknown): void {
  if (!(typeof maxBytes === "number" && maxBytes >= 0))
    throw mustBe("maxBytes", "a number of bytes, at least 0", maxBytes);
}

/**
 * Reads a body up to the limit, and cancels a larger one.
 *
 * @param discardBytes the bytes above the limit that are read and discarded before a larger body is cancelled. A server
 * that answers while the client still sends breaks the connection, so that the client gets no answer.
 * @param onReader gets the function that ends the read in progress
 */
export async function readBody(
  message: Request | Response,
  options: ReadOptions = {},
  discardBytes = 0,
  onReader?: (cancel: () => void) => void,
): Promise<Uint8Array> {
  const { maxBytes = DEFAULT_MAX_BYTES } = options;
  checkLimit(maxBytes);
  const tooLarge = () => new FerryError("ERR_TOO_LARGE", `the body is larger than the limit of ${maxBytes} bytes`);
  checkMessage(message);
  const { body } = message;
  if (message.bodyUsed) throw invalidArgument("the body of the message was read before");
  if (body === null || body === undefined) {
    // Some runtimes have no stream on requests.
    const bytes = new Uint8Array(await message.arrayBuffer());
    if (bytes.length > maxBytes) throw tooLarge();
    return bytes;
  }
  const reader = readerOf(body);
  const contentLength = Number(message.headers.get("content-length"));
  if (contentLength > maxBytes + discardBytes) {
    giveUp(reader);
    throw tooLarge();
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  onReader?.(() => giveUp(reader));
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      // Strings would become zeros below, one for each character.
      if (!isBytes(step.value)) throw mustBe("body", "a stream of bytes", step.value);
      const chunk = asBytes(step.value);
      size += chunk.length;
      if (size > maxBytes + discardBytes) throw tooLarge();
      if (size <= maxBytes) chunks.push(chunk);
    }
  } catch (error) {
    giveUp(reader);
    throw error instanceof FerryError
      ? error
      : new FerryError("ERR_NETWORK", "the body ended before it was complete", { cause: error });
  }
  if (size > maxBytes) throw tooLarge();
  return concat(chunks);
}

/** As `readBody`, with a limit of the time that the whole body may take. */
export async function readBodyWithin(
  timeoutMs: number,
  message: Request | Response,
  options: ReadOptions,
): Promise<Uint8Array> {
  let isLate = false;
  let timer: Timer | undefined;
  const onReader = (cancel: () => void) => {
    timer = startTimer(() => {
      isLate = true;
      cancel();
    }, timeoutMs);
  };
  try {
    const bytes = await readBody(message, options, 0, onReader);
    if (!isLate) return bytes;
  } catch (error) {
    if (!isLate) throw error;
  } finally {
    stopTimer(timer);
  }
  throw new FerryError("ERR_TIMEOUT", `the body was not complete within ${timeoutMs} ms`);
}

/** Cancels a body. Not awaited, because that of a cloned message does not settle before the clone is read. */
function giveUp(reader: BodyReader): void {
  reader.cancel()?.catch(() => undefined);
}
