/** A consumed event. It keeps the bytes of the response; the payload is parsed on first read, republished unchanged. */
import { glassflow } from "../../engine/modules/glassflow.js";
import { type CloudEvent, scanText } from "../cloudevents/event.js";
import { isFerryError } from "../../engine/errors.js";
import { freshId } from "../../platform/uuid.js";
import type { PipelineCallOptions } from "./options.js";
import { type PipelineDataSource, type PublishResult, checkSource } from "./source.js";
import { TextDecoder } from "../../platform/text.js";

/** The fields of a consumed event, in the order of `EventSpans::to_array` in `src/glassflow/wire.rs`. */
const FIELD = {
  payload: 0,
  response: 1,
  status: 2,
  requestId: 3,
  externalId: 4,
  receiveTime: 5,
  errorDetails: 6,
  stackTrace: 7,
} as const;
type Field = (typeof FIELD)[keyof typeof FIELD];

/** What an event knows of its pipeline. */
interface PipelineName {
  /** The pipeline as the `source` of CloudEvents. */
  readonly uri: string;
}

const decoder = new TextDecoder();
/** Control characters, which the strings of a CloudEvent must not contain. */
const CONTROL = /\p{Cc}/u;

/**
 * An event that was consumed from a pipeline and that the server has deleted. It has a payload or a response; each
 * other field is `undefined` if the service has left it out.
 */
export class PipelineEvent<P = unknown, R = unknown> {
  /** Whether the transformation failed at this event. */
  readonly isFailed: boolean;
  /** Outcome of the transformation, as the service reports it, for example `success`. */
  readonly status: string | undefined;
  /** Id of the request that published the event. */
  readonly requestId: string | undefined;
  /** When the service received the event: the RFC 3339 text as received. */
  readonly receiveTime: string | undefined;
  /** Id that a connector assigned to the event. */
  readonly externalId: string | undefined;
  /** Error message of the transformation, for a failed event. */
  readonly errorDetails: string | undefined;
  /** Stack trace of that error. */
  readonly stackTrace: string | undefined;
  /** The body of the response, byte for byte. */
  declare readonly body: Uint8Array;
  readonly #pipeline: PipelineName;
  /** Start and end of each field in `body`. */
  readonly #spans: Uint32Array;
  readonly #acknowledge: (() => Promise<void>) | undefined;
  #acknowledging: Promise<void> | undefined;
  #payload: { value: unknown } | undefined;
  #response: { value: unknown } | undefined;

  /** @internal */
  constructor(
    pipeline: PipelineName,
    isFailed: boolean,
    body: Uint8Array,
    spans: Uint32Array,
    acknowledge?: () => Promise<void>,
  ) {
    // Not enumerable, because bytes would fill a log.
    Object.defineProperty(this, "body", { value: body });
    this.#pipeline = pipeline;
    this.#spans = spans;
    this.#acknowledge = acknowledge;
    this.isFailed = isFailed;
    this.status = this.#text(FIELD.status);
    this.requestId = this.#text(FIELD.requestId);
    this.receiveTime = this.#text(FIELD.receiveTime);
    this.externalId = this.#text(FIELD.externalId);
    this.errorDetails = this.#text(FIELD.errorDetails);
    this.stackTrace = this.#text(FIELD.stackTrace);
  }

  /** The event as it was published. Parsed on first read, then cached. */
  get payload(): P {
    this.#payload ??= { value: this.#value(FIELD.payload) };
    return this.#payload.value as P;
  }

  /** The result of the transformation; `undefined` for a failed event. Parsed on first read, then cached. */
  get response(): R | undefined {
    this.#response ??= { value: this.#value(FIELD.response) };
    return this.#response.value as R | undefined;
  }

  /** The response; for a failed event, the payload. */
  get data(): P | R | undefined {
    return this.isFailed ? this.payload : this.response;
  }

  /** The JSON text of the payload, with every digit of its numbers. */
  get payloadText(): string | undefined {
    return this.#json(FIELD.payload);
  }

  /** The JSON text of the response. */
  get responseText(): string | undefined {
    return this.#json(FIELD.response);
  }

  /**
   * Acknowledges the event after it was processed: it is removed from the store of the iteration. Without a store, and
   * on repeated calls, nothing happens.
   *
   * @throws {FerryError} `ERR_STORE`, after which the call may be repeated; `ERR_CLOSED` after the sink was closed
   */
  ack(): Promise<void> {
    this.#acknowledging ??= this.#acknowledge?.() ?? Promise.resolve();
    const acknowledging = this.#acknowledging;
    acknowledging.catch(() => {
      this.#acknowledging = undefined;
    });
    return acknowledging;
  }

  /**
   * Publishes the payload again, byte for byte, and acknowledges the event when the pipeline has accepted it. The
   * pipeline treats it as a new event with a new id.
   *
   * @throws {FerryError} the errors of `publish`, after which the event is not acknowledged; the errors of `ack`, after
   * which it is published
   */
  async republish(source: PipelineDataSource, options: PipelineCallOptions = {}): Promise<PublishResult> {
    const result = await checkSource(source).publishText(this.payloadText ?? "null", options);
    await this.ack();
    return result;
  }

  /**
   * The event as a CloudEvent: `id` is the request id or else a fresh UUID, `source` the URL of the pipeline, `time`
   * the receive time, `data` the JSON text of `data` with all digits. `type` is `dev.glassflow.pipeline.output` or
   * `dev.glassflow.pipeline.failed`. The extensions are `pipelinestatus`, `externalid` and, if it has no line breaks,
   * `errordetails`.
   *
   * @throws {FerryError} for an id that is not valid in a CloudEvent
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
      return scanText<P | R>(
        data === undefined ? `${head}}` : `${head},"datacontenttype":"application/json","data":${data}}`,
      );
    };
    try {
      return read(attributes);
    } catch (error) {
      // A time without a time zone is not valid in a CloudEvent.
      if (!isFerryError(error) || error.attribute !== "time") throw error;
      return read({ ...attributes, time: undefined });
    }
  }

  /** The fields as a plain object. */
  toJSON(): object {
    const { payload, response, status, requestId, receiveTime, externalId, errorDetails, stackTrace } = this;
    return { payload, response, status, requestId, receiveTime, externalId, errorDetails, stackTrace };
  }

  #json(field: Field): string | undefined {
    const [start, end] = [this.#spans[field * 2]!, this.#spans[field * 2 + 1]!];
    return end === 0 ? undefined : decoder.decode(this.body.subarray(start, end));
  }

  #value(field: Field): unknown {
    const json = this.#json(field);
    return json === undefined ? undefined : JSON.parse(json);
  }

  /** The value of a string field; any other JSON value is returned as its JSON text. */
  #text(field: Field): string | undefined {
    const json = this.#json(field);
    return json?.startsWith('"') ? (JSON.parse(json) as string) : json;
  }
}

// For `console.log` in Node and Bun. Outside the class: `isolatedDeclarations` allows no computed name.
Object.defineProperty(PipelineEvent.prototype, Symbol.for("nodejs.util.inspect.custom"), {
  value(
    this: PipelineEvent,
    _depth: number,
    options: object,
    inspect?: (value: object, options: object) => string,
  ): string {
    return `PipelineEvent ${inspect?.(this.toJSON(), options) ?? JSON.stringify(this)}`;
  },
});

/** Reads the body of a response. `undefined` if it is not an event. */
export function readEvent(
  pipeline: PipelineName,
  isFailed: boolean,
  body: Uint8Array,
  acknowledge?: () => Promise<void>,
): PipelineEvent | undefined {
  const { glue } = glassflow;
  const len = glassflow.putBytes(body);
  const spans = glassflow.call(() => glue.glassflow_event_spans(len));
  return spans.length === 0 ? undefined : new PipelineEvent(pipeline, isFailed, body, spans, acknowledge);
}
