/** Requests of an outbox: how they are made of events, and what their answers say. */
import { type RequestPlan, type ExchangeOutcome } from "../platform/fetch.js";
import { keepaliveBudget } from "../platform/keepalive-budget.js";
import type { TrackedSegment } from "./tracked-segment.js";
import { SINGLES, type Batch, type Wire } from "./wire.js";
import { FAILURE, type OutboxPort } from "../engine/ports.js";

/** The headers of the user. */
export interface Headerer {
  /** Asks for them. */
  ask(): HeadersInit | undefined | Promise<HeadersInit | undefined>;
  /** Lines of these and those of a request, which win. */
  lines(given: HeadersInit | undefined, own: Record<string, string>): string;
}

export interface SenderOptions<E> {
  wire: Wire<E>;
  timeoutMs: number;
  headers: Headerer;
  gzip: boolean;
}

/** How much of an answer is read, for each event of the request and besides: it may speak of each. */
const ANSWER_BYTES = 1024;
const ANSWER_BYTES_BESIDES = 16 * 1024;
/** Smaller bodies are not worth it. */
const GZIP_BYTES = 2048;
const CAN_ZIP = typeof CompressionStream === "function";

export class Sender<E> {
  readonly #options: SenderOptions<E>;
  /** What the user's headers were the last time. */
  #given: [HeadersInit | undefined] | undefined;

  constructor(options: SenderOptions<E>) {
    this.#options = options;
  }

  /**
   * The request for a batch; at once, unless something has to be waited for. A page that ends waits for nobody.
   *
   * @param zipped the body, compressed before
   */
  plan(batch: Batch, isLeaving: boolean, zipped: Uint8Array | undefined): RequestPlan | Promise<RequestPlan> {
    const { wire, timeoutMs, headers, gzip } = this.#options;
    try {
      const { url, headers: own, body } = wire.request(batch);
      const asked = isLeaving && this.#given ? this.#given[0] : headers.ask();
      const finish = (given: HeadersInit | undefined, body: Uint8Array): RequestPlan => {
        this.#given = [given];
        const plan = {
          url,
          headers: headers.lines(given, own),
          body,
          timeoutMs,
          maxResponseBytes: ANSWER_BYTES_BESIDES + batch.count * ANSWER_BYTES,
        };
        return { ...plan, keepalive: keepaliveBudget.take(body.length) };
      };
      const ready = zipped ?? (gzip && body.length >= GZIP_BYTES && !isLeaving && CAN_ZIP ? gzipped(body) : body);
      if (ready !== body) own["content-encoding"] = "gzip";
      if (!isPromise(ready) && !isPromise(asked)) return finish(asked, ready);
      return Promise.all([asked, ready]).then(([given, body]) => finish(given, body));
    } catch (cause) {
      return Promise.reject(cause);
    }
  }

  /** Tells the machine what became of a request. */
  land(port: OutboxPort, now: number, id: number, outcome: ExchangeOutcome, batch: Batch): void {
    if (outcome.kind === "failure") return port.failure(now, id, FAILURE[outcome.reason]);
    const { wire } = this.#options;
    const { status, body, retryAfterMs } = outcome;
    if (wire.wantsSingles?.(status, batch)) return port.limit_batches(now, id, SINGLES.maxEvents, SINGLES.concurrency);
    const statuses = wire.statuses?.(status, body, batch);
    if (statuses) port.response_each(now, id, Uint16Array.from(statuses), retryAfterMs);
    else port.response(now, id, status, retryAfterMs, "", wire.classifier ? body : body.subarray(0, 1024));
  }

  /** Compresses what a request with these events alone would carry. */
  zip(packet: TrackedSegment): void {
    const { wire, gzip } = this.#options;
    const list = gzip && CAN_ZIP && wire.list?.([packet.body!]);
    if (!list || list.length < GZIP_BYTES) return;
    void gzipped(list).then(
      (zipped) => void (packet.body && (packet.zipped = zipped)),
      () => undefined,
    );
  }

  /** How many bytes of events a page that ends can still send, if they compress as these do. */
  room(packets: Iterable<TrackedSegment>): number {
    let [plain, zipped] = [1, 1];
    for (const packet of packets) {
      plain += packet.body!.length;
      zipped += (packet.zipped ?? packet.body!).length;
    }
    // What holds the events of a request together comes on top.
    return Math.floor(keepaliveBudget.remainingBytes * 0.96 * (plain / zipped));
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === "function";
}

async function gzipped(body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([body as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
