/** CloudEvents on the outbox: kept in the JSON format, sent in any of the three modes. */
import { FerryError, shown } from "../errors.js";
import { type Batch, type Encoded, type Wire, type WireRequest } from "../outbox/wire.js";
import { listed } from "../outbox/packet.js";
import { CloudEvent } from "./event.js";
import { type ContentMode, toBinary } from "./http.js";

const BATCH_TYPE = "application/cloudevents-batch+json; charset=UTF-8";
const STRUCTURED_TYPE = "application/cloudevents+json; charset=UTF-8";
const encoder = new TextEncoder();

/** How a publisher delivers what its outbox keeps. Events with the same `partitionkey` keep their order. */
export class CloudEventsWire implements Wire<CloudEvent> {
  readonly #url: string;
  readonly #mode: ContentMode;

  constructor(url: string, mode: ContentMode) {
    this.#url = url;
    this.#mode = mode;
  }

  encode(event: CloudEvent): Encoded {
    if (!(event instanceof CloudEvent)) throw new FerryError("ERR_INVALID_ARGUMENT", `publish takes a CloudEvent, not ${shown(event)}`);
    // A batch has one version only.
    if (this.#mode === "batch") event = event.toVersion("1.0");
    return { id: event.id, text: event.toString(), key: event.get("partitionkey") as string | undefined };
  }

  idOf(body: Uint8Array): string {
    return CloudEvent.fromJSON(body).id;
  }

  request({ stretches }: Batch): WireRequest {
    if (this.#mode === "batch") {
      return { url: this.#url, headers: { "content-type": BATCH_TYPE }, body: listed(stretches) };
    }
    const text = stretches[0]!;
    if (this.#mode === "structured") return { url: this.#url, headers: { "content-type": STRUCTURED_TYPE }, body: text };
    const { headers, body = "" } = toBinary(CloudEvent.fromJSON(text));
    return { url: this.#url, headers, body: typeof body === "string" ? encoder.encode(body) : body };
  }

  /**
   * Answers with status 207 may speak of each event: a JSON array, or an object with `results`, of `{ "status": 202 }` in the order of the
   * events, or of `{ "id": "…", "status": 202 }` in any order. Of which nothing is said, that is sent again.
   */
  statuses(status: number, answer: Uint8Array, batch: Batch): number[] | undefined {
    if (status !== 207) return undefined;
    let parsed: unknown;
    try {
      parsed = JSON.parse(new TextDecoder().decode(answer));
    } catch {
      // Nobody knows what it says, so nothing counts as delivered.
      return Array.from({ length: batch.count }, () => 503);
    }
    const results = (Array.isArray(parsed) ? parsed : (parsed as { results?: unknown })?.results) as { id?: unknown; status?: unknown }[] | undefined;
    const all = Array.isArray(results) ? results : [];
    const statusOf = (result: { status?: unknown } | undefined) => (Number.isInteger(result?.status) ? (result!.status as number) & 0xffff : 503);
    if (!all.some((result) => result?.id !== undefined)) return Array.from({ length: batch.count }, (_, at) => statusOf(all[at]));
    const byId = new Map(all.map((result) => [result?.id, result]));
    return batch.events().map((event) => statusOf(byId.get(this.idOf(event))));
  }
}
