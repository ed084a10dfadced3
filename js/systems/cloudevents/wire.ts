/** CloudEvents in the outbox: stored in the JSON format, sent in any content mode. */
import type { Bytes } from "../../platform/bytes.js";
import { toJsonArray } from "../../outbox/json-texts.js";
import type { Batch, Encoded, Wire, WireRequest } from "../../outbox/wire.js";
import { Format, matches } from "./attribute.js";
import { checkEvent } from "./check-event.js";
import { type CloudEvent, scanBytes } from "./event.js";
import { BATCH_TYPE, type ContentMode, STRUCTURED_TYPE, toBinary } from "./http.js";
import { TextDecoder, TextEncoder } from "../../platform/text.js";

const EXPIRY = "expirytime";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The requests of a publisher's outbox. Events with the same `partitionkey` are delivered in order. Without a mode it
 * sends batches until a server rejects one as an unsupported format; then it sends single events in another mode.
 */
export class CloudEventsWire implements Wire<CloudEvent> {
  readonly #url: string;
  readonly #hasFixedMode: boolean;
  readonly #singleMode: ContentMode;
  #mode: ContentMode;
  /** The batches that were sent in batch mode, also before the mode changed. */
  readonly #sentAsBatch = new WeakSet<Batch>();

  /** @param singleMode the mode for single events, if a server takes no batches */
  constructor(url: string, mode: ContentMode | undefined, singleMode: ContentMode) {
    this.#url = url;
    this.#singleMode = singleMode;
    this.#hasFixedMode = mode !== undefined;
    this.#mode = mode ?? "batch";
  }

  encode(event: CloudEvent): Encoded {
    checkEvent(event);
    // All events of a batch must have the same version.
    const encoded = this.#mode === "batch" ? event.toVersion("1.0") : event;
    const { partitionkey: key, [EXPIRY]: expiry } = encoded.extensions;
    const orderingKey = key === undefined ? key : String(key);
    const mayExpire = expiry !== undefined;
    return { id: encoded.id, text: encoded.toString(), orderingKey, mayExpire };
  }

  expiryTimes(body: Uint8Array, texts: () => readonly Uint8Array[]): number[] | undefined {
    // Nearly no event has the attribute, and to find out by parsing would take long.
    return decoder.decode(body).includes(EXPIRY) ? texts().map(expiryTimeOf) : undefined;
  }

  idOf(body: Uint8Array): string {
    try {
      return scanBytes(body).id;
    } catch {
      return "";
    }
  }

  request(batch: Batch): WireRequest {
    const { chunks } = batch;
    if (this.#mode === "batch") {
      this.#sentAsBatch.add(batch);
      return { url: this.#url, headers: { "content-type": BATCH_TYPE }, body: toJsonArray(chunks) };
    }
    const text = chunks[0]!;
    if (this.#mode === "structured")
      return { url: this.#url, headers: { "content-type": STRUCTURED_TYPE }, body: text };
    const { headers, body = "" } = toBinary(scanBytes(text));
    return { url: this.#url, headers, body: typeof body === "string" ? encoder.encode(body) : body };
  }

  encodeBody(chunks: readonly Uint8Array[]): Bytes | undefined {
    return this.#mode === "batch" ? toJsonArray(chunks) : undefined;
  }

  /** HTTP webhook specification, section 2.2: 415 means that the format is not supported. */
  rejectsBatches(status: number, batch: Batch): boolean {
    if (status !== 415 || this.#hasFixedMode || !this.#sentAsBatch.has(batch)) return false;
    this.#mode = this.#singleMode;
    return true;
  }

  /**
   * The status of each event in a response with status 207: a JSON array, or an object with an array `results`, of
   * `{ "status": 202 }` in the order of the events, or of `{ "id": "…", "status": 202 }` in any order; results with the
   * same id are in the order of the events. An event without a result is sent again.
   */
  eventStatuses(status: number, answer: Uint8Array, batch: Batch): number[] | undefined {
    return status === 207 ? multiStatus(answer, batch.ids()) : undefined;
  }
}

/** When an event expires, in Unix milliseconds; NaN if it does not, or says so in a text that is not RFC 3339. */
function expiryTimeOf(text: Uint8Array): number {
  try {
    const time = scanBytes(text).get(EXPIRY);
    // `Date` knows no leap second and, by its specification, no lower case.
    if (typeof time === "string" && matches(time, Format.Timestamp))
      return Date.parse(time.toUpperCase().replace(":60", ":59"));
  } catch {
    // The text is damaged.
  }
  return Number.NaN;
}

/** The status of each event in the body of a response with status 207, in the order of the ids. */
export function multiStatus(answer: Uint8Array, ids: readonly string[]): number[] {
  let results: { id?: unknown; status?: unknown }[] = [];
  try {
    const parsed = JSON.parse(decoder.decode(answer));
    results = [...(Array.isArray(parsed) ? parsed : parsed.results)];
  } catch {
    // An unreadable response confirms no event.
  }
  if (!results.some((result) => result?.id !== undefined)) return ids.map((_, at) => statusOf(results[at]));
  const byId = new Map<unknown, unknown[]>();
  for (const result of results) {
    const sameId = byId.get(result?.id);
    if (sameId) sameId.push(result);
    else byId.set(result?.id, [result]);
  }
  return ids.map((id) => statusOf(byId.get(id)?.shift()));
}

/** The status of a result; 503 if it has none that is valid, so that the event is sent again. */
function statusOf(result: unknown): number {
  const { status } = (result ?? {}) as { status?: unknown };
  return Number.isInteger(status) && (status as number) >= 200 && (status as number) < 600 ? (status as number) : 503;
}
