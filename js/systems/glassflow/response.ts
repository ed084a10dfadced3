/**
 * Reads the responses of a sink. The server deletes an event when it returns it; therefore every error here contains
 * the body of the response.
 */
import { type FerryError, type FerryErrorCode, isFerryError } from "../../engine/errors.js";
import { type ConsumeResponse, consumeAction } from "./driver.js";
import { type PipelineEvent, readEvent } from "./event.js";
import type { PipelineAccess } from "./pipeline-access.js";

/** The result of consuming from a queue. */
export interface ConsumeResult<P = unknown, R = unknown> {
  /**
   * 200: an event. 204: the queue is empty. 429: the server limits the rate of requests. Other values from 200 to 299
   * are not defined by the service.
   */
  status: number;
  /** The event; present with status 200. */
  event?: PipelineEvent<P, R>;
  /** The body of a response with another status from 200 to 299, if it is not empty: it may contain an event. */
  body?: Uint8Array;
}

const MIB = 1024 * 1024;
/** A response up to this size is read in full even if it is larger than an event may be. */
const MIN_RESPONSE_LIMIT_BYTES = 64 * MIB;

export class ResponseReader {
  /** Limit of the bytes that are read of one response. */
  readonly maxResponseBytes: number;
  readonly #pipeline: PipelineAccess;
  readonly #maxEventBytes: number;

  constructor(pipeline: PipelineAccess, maxEventBytes: number) {
    this.#pipeline = pipeline;
    this.#maxEventBytes = maxEventBytes;
    this.maxResponseBytes = Math.max(maxEventBytes + 1, MIN_RESPONSE_LIMIT_BYTES);
  }

  /** @throws {FerryError} see `event` */
  result(isFailed: boolean, { status, body }: ConsumeResponse): ConsumeResult {
    if (status === 200) return { status, event: this.event(isFailed, body) };
    return status === 204 || status === 429 || body.length === 0 ? { status } : { status, body };
  }

  /**
   * Reads the event of a response with status 200.
   *
   * @throws {FerryError} `ERR_TOO_LARGE`, `ERR_INVALID_EVENT`, `ERR_INTERNAL`; each has the response as its `body`
   */
  event(isFailed: boolean, body: Uint8Array, acknowledge?: () => Promise<void>): PipelineEvent {
    if (body.length > this.#maxEventBytes) {
      const isCut = body.length >= this.maxResponseBytes;
      const advice = `${isCut ? "its first" : "all"} ${body.length} bytes are in the body of this error`;
      const sentence = `the event is larger than the ${this.#maxEventBytes} bytes of maxEventBytes; ${advice}`;
      throw this.#error(isFailed, "ERR_TOO_LARGE", sentence, { status: 200, body });
    }
    let event: PipelineEvent | undefined;
    try {
      event = readEvent(this.#pipeline, isFailed, body, acknowledge);
    } catch (cause) {
      const code = isFerryError(cause) ? cause.code : "ERR_INTERNAL";
      throw this.#error(isFailed, code, (cause as Error).message, { status: 200, body }, cause);
    }
    if (event) return event;
    const sentence =
      body.length === 0
        ? "the response is empty"
        : "the response is not a readable event; its bytes are in the body of this error";
    throw this.#error(isFailed, "ERR_INVALID_EVENT", sentence, { status: 200, body });
  }

  /** The error of a response with a status that the service does not define. */
  unexpectedStatus(isFailed: boolean, response: ConsumeResponse): FerryError {
    return this.#error(isFailed, "ERR_REJECTED", "unexpected status; expected 200, 204 or 429", response);
  }

  /** The error of an event that the store has refused. */
  notStored(isFailed: boolean, cause: FerryError, response: ConsumeResponse): FerryError {
    const sentence = `${cause.message}; the next iteration of this sink returns the event again`;
    return this.#error(isFailed, cause.code, sentence, response, cause);
  }

  #error(
    isFailed: boolean,
    code: FerryErrorCode,
    sentence: string,
    { status, body }: Omit<ConsumeResponse, "delayMs">,
    cause?: unknown,
  ): FerryError {
    return this.#pipeline.eventError(consumeAction(isFailed), code, sentence, { status, body, cause });
  }
}
