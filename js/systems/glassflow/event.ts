/** A consumed event. It stays the bytes that came: its payload is parsed when somebody looks, and passed on as it is. */
import { CloudEvent } from "../cloudevents/event.js";
import { isFerryError } from "../../engine/errors.js";
import { freshId } from "../../platform/uuid.js";
import { call, fullGlue, putBytes } from "../../engine/instance.js";
import type { Pipeline, PipelineCallOptions } from "./pipeline.js";
import { type PipelineDataSource, type PublishResult, checkedSource } from "./source.js";

/** Where the parts of an event stand in its body, see `src/glassflow/wire.rs`. */
const enum Part {
  Payload,
  Response,
  Status,
  RequestId,
  ExternalId,
  ReceiveTime,
  ErrorDetails,
  StackTrace,
}

const decoder = new TextDecoder();
/** What a string of a CloudEvent may not have in it. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * An event that was taken from a pipeline, where it is no longer. What the service may leave out is `undefined` then; only a payload or a response
 * has to be there.
 */
export class PipelineEvent<P = unknown, R = unknown> {
  /** Whether it comes from the queue of those that the transformation failed at. */
  readonly isFailed: boolean;
  /** What became of it in the transformation, in the words of the service. */
  readonly status: string | undefined;
  /** Id of the request that published it. */
  readonly requestId: string | undefined;
  /** When the platform took it in, as written: RFC 3339. */
  readonly receiveTime: string | undefined;
  /** Id that a connector gave it. */
  readonly externalId: string | undefined;
  /** What went wrong in the transformation, for a failed event. */
  readonly errorDetails: string | undefined;
  /** And where. */
  readonly stackTrace: string | undefined;
  /** The answer of the server, byte for byte. */
  declare readonly body: Uint8Array;
  readonly #pipeline: Pipeline;
  readonly #parts: Uint32Array;
  readonly #acknowledge: (() => Promise<void>) | undefined;
  #acknowledging: Promise<void> | undefined;
  #payload: { value: unknown } | undefined;
  #response: { value: unknown } | undefined;

  /** @internal */
  constructor(
    pipeline: Pipeline,
    isFailed: boolean,
    body: Uint8Array,
    parts: Uint32Array,
    acknowledge?: () => Promise<void>,
  ) {
    // Not enumerable: in a log it would drown the rest.
    Object.defineProperty(this, "body", { value: body });
    this.#pipeline = pipeline;
    this.#parts = parts;
    this.#acknowledge = acknowledge;
    this.isFailed = isFailed;
    this.status = this.#text(Part.Status);
    this.requestId = this.#text(Part.RequestId);
    this.receiveTime = this.#text(Part.ReceiveTime);
    this.externalId = this.#text(Part.ExternalId);
    this.errorDetails = this.#text(Part.ErrorDetails);
    this.stackTrace = this.#text(Part.StackTrace);
  }

  /** The event as it was published. Parsed on first read, then kept. */
  get payload(): P {
    return (this.#payload ??= { value: this.#value(Part.Payload) }).value as P;
  }

  /** What the transformation made of it; `undefined` for a failed event. Parsed on first read, then kept. */
  get response(): R | undefined {
    return (this.#response ??= { value: this.#value(Part.Response) }).value as R | undefined;
  }

  /** What one mostly wants: the response, and of a failed event the payload. */
  get data(): P | R | undefined {
    return this.isFailed ? this.payload : this.response;
  }

  /** The JSON text of the payload, with every digit of its numbers. */
  get payloadText(): string | undefined {
    return this.#json(Part.Payload);
  }

  /** The JSON text of the response. */
  get responseText(): string | undefined {
    return this.#json(Part.Response);
  }

  /**
   * The work on it is done: the store of the iteration forgets it. Without a store there is nothing to do. Calls after the first do nothing.
   *
   * @throws {FerryError} `ERR_STORE`; then it may be called again. `ERR_CLOSED` after the sink was closed.
   */
  ack(): Promise<void> {
    const acknowledging = (this.#acknowledging ??= this.#acknowledge?.() ?? Promise.resolve());
    acknowledging.catch(() => (this.#acknowledging = undefined));
    return acknowledging;
  }

  /**
   * Publishes its payload again, byte for byte, and acknowledges it when the pipeline has taken it. It becomes a new event there, with an id of its own.
   *
   * @throws {FerryError} what `publish` rejects with; then it is not acknowledged. What `ack` rejects with; then it is published.
   */
  async republish(source: PipelineDataSource, options: PipelineCallOptions = {}): Promise<PublishResult> {
    const result = await checkedSource(source).publishText(this.payloadText ?? "null", options);
    await this.ack();
    return result;
  }

  /**
   * As a CloudEvent: `id` is the request id, `source` the URL of the pipeline, `time` the receive time, `data` what `data` says here with every digit as
   * it came, `type` is `dev.glassflow.pipeline.output` or `dev.glassflow.pipeline.failed`. Extensions are `pipelinestatus`, `externalid` and, if it is one
   * line, `errordetails`. Without a request id it gets a fresh UUID.
   *
   * @throws {FerryError} for an id that no CloudEvent may have
   */
  toCloudEvent(): CloudEvent<P | R> {
    const extensions = { pipelinestatus: this.status, externalid: this.externalId, errordetails: this.errorDetails };
    const attributes = {
      specversion: "1.0",
      id: this.requestId || freshId(),
      source: this.#pipeline.uri,
      type: `dev.glassflow.pipeline.${this.isFailed ? "failed" : "output"}`,
      time: this.receiveTime,
      ...Object.fromEntries(
        Object.entries(extensions).filter(([, text]) => text !== undefined && text !== "" && !CONTROL.test(text)),
      ),
    };
    const data = this.isFailed ? this.payloadText : this.responseText;
    const read = (attributes: object) => {
      const head = JSON.stringify(attributes).slice(0, -1);
      return CloudEvent.fromJSON<P | R>(
        data === undefined ? `${head}}` : `${head},"datacontenttype":"application/json","data":${data}}`,
      );
    };
    try {
      return read(attributes);
    } catch (error) {
      // One without a time zone is no time for a CloudEvent.
      if (!isFerryError(error) || error.attribute !== "time") throw error;
      return read({ ...attributes, time: undefined });
    }
  }

  /** All that is known of it, as an object. */
  toJSON(): object {
    const { payload, response, status, requestId, receiveTime, externalId, errorDetails, stackTrace } = this;
    return { payload, response, status, requestId, receiveTime, externalId, errorDetails, stackTrace };
  }

  /** For `console.log` in Node and Bun. */
  [Symbol.for("nodejs.util.inspect.custom")](
    _depth: number,
    options: object,
    inspect?: (value: object, options: object) => string,
  ): string {
    return `PipelineEvent ${inspect?.(this.toJSON(), options) ?? JSON.stringify(this)}`;
  }

  #json(part: Part): string | undefined {
    const [start, end] = [this.#parts[part * 2]!, this.#parts[part * 2 + 1]!];
    return end === 0 ? undefined : decoder.decode(this.body.subarray(start, end));
  }

  #value(part: Part): unknown {
    const json = this.#json(part);
    return json === undefined ? undefined : JSON.parse(json);
  }

  /** A string; what else may stand there is given as JSON. */
  #text(part: Part): string | undefined {
    const json = this.#json(part);
    return json?.startsWith('"') ? (JSON.parse(json) as string) : json;
  }
}

/** Reads the body of an answer. `undefined` if it is no event. */
export function readEvent(
  pipeline: Pipeline,
  isFailed: boolean,
  body: Uint8Array,
  acknowledge?: () => Promise<void>,
): PipelineEvent | undefined {
  const glue = fullGlue();
  const len = putBytes(body);
  const parts = call(() => glue.glassflow_event_spans(len));
  return parts.length === 0 ? undefined : new PipelineEvent(pipeline, isFailed, body, parts, acknowledge);
}
