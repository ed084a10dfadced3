/** CloudEvents on the outbox: kept in the JSON format, sent in any of the three modes. */
import { FerryError } from "../../engine/errors.js";
import { type Batch, type Encoded, type Wire, type WireRequest } from "../../outbox/wire.js";
import { toJsonArray } from "../../outbox/json-texts.js";
import { CloudEvent } from "./event.js";
import { type ContentMode, toBinary } from "./http.js";
import { formatValue } from "../../engine/messages.js";

const BATCH_TYPE = "application/cloudevents-batch+json; charset=UTF-8";
const STRUCTURED_TYPE = "application/cloudevents+json; charset=UTF-8";
const encoder = new TextEncoder();

/**
 * How a publisher delivers what its outbox keeps. Events with the same `partitionkey` keep their order. Without a mode it sends
 * batches, until a server says that it does not take them; then events go one by one in binary mode, which every receiver takes.
 */
export class CloudEventsWire implements Wire<CloudEvent> {
  readonly #url: string;
  readonly #isGiven: boolean;
  #mode: ContentMode;
  /** What was sent as a batch, also before the mode changed. */
  readonly #asBatch = new WeakSet<Batch>();

  constructor(url: string, mode: ContentMode | undefined) {
    this.#url = url;
    this.#isGiven = mode !== undefined;
    this.#mode = mode ?? "batch";
  }

  encode(event: CloudEvent): Encoded {
    if (!(event instanceof CloudEvent))
      throw new FerryError("ERR_INVALID_ARGUMENT", `publish takes a CloudEvent, not ${formatValue(event)}`);
    // A batch has one version only.
    if (this.#mode === "batch") event = event.toVersion("1.0");
    const key = event.get("partitionkey");
    return { id: event.id, text: event.toString(), orderingKey: key === undefined ? key : String(key) };
  }

  idOf(body: Uint8Array): string {
    try {
      return CloudEvent.fromJSON(body).id;
    } catch {
      return "";
    }
  }

  request(batch: Batch): WireRequest {
    const { chunks } = batch;
    if (this.#mode === "batch") {
      this.#asBatch.add(batch);
      return { url: this.#url, headers: { "content-type": BATCH_TYPE }, body: toJsonArray(chunks) };
    }
    const text = chunks[0]!;
    if (this.#mode === "structured")
      return { url: this.#url, headers: { "content-type": STRUCTURED_TYPE }, body: text };
    const { headers, body = "" } = toBinary(CloudEvent.fromJSON(text));
    return { url: this.#url, headers, body: typeof body === "string" ? encoder.encode(body) : body };
  }

  encodeBody(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> | undefined {
    return this.#mode === "batch" ? toJsonArray(chunks) : undefined;
  }

  /** HTTP web hook specification, section 2.2: 415 is for a format that is not supported. */
  rejectsBatches(status: number, batch: Batch): boolean {
    if (status !== 415 || this.#isGiven || !this.#asBatch.has(batch)) return false;
    this.#mode = "binary";
    return true;
  }

  /**
   * Answers with status 207 may speak of each event: a JSON array, or an object with `results`, of `{ "status": 202 }` in the order of the
   * events, or of `{ "id": "…", "status": 202 }` in any order; those with the same id in the order of the events. Of which nothing is said,
   * that is sent again.
   */
  eventStatuses(status: number, answer: Uint8Array, batch: Batch): number[] | undefined {
    if (status !== 207) return undefined;
    let all: { id?: unknown; status?: unknown }[] = [];
    try {
      const parsed = JSON.parse(new TextDecoder().decode(answer));
      all = [...(Array.isArray(parsed) ? parsed : parsed.results)];
    } catch {
      // Nobody knows what it says, so nothing counts as delivered.
    }
    if (!all.some((result) => result?.id !== undefined))
      return Array.from({ length: batch.count }, (_, at) => statusOf(all[at]));
    const byId = new Map<unknown, unknown[]>();
    for (const result of all) {
      const others = byId.get(result?.id);
      if (others) others.push(result);
      else byId.set(result?.id, [result]);
    }
    return batch.ids().map((id) => statusOf(byId.get(id)?.shift()));
  }
}

/** What is not said in so many words counts as not delivered. */
function statusOf(result: unknown): number {
  const { status } = (result ?? {}) as { status?: unknown };
  return Number.isInteger(status) && (status as number) >= 200 && (status as number) < 600 ? (status as number) : 503;
}
