/** Requests of an outbox: how they are made from batches, and how their outcomes are reported to the machine. */
import { type Classified, type Classify, classified, type EventOutcome, notAccepted } from "../client/classify.js";
import { Secrets } from "../client/redact.js";
import { FAILURE, OUTBOX_INPUTS, type OutboxPort, OUTBOX_LIST_INPUTS } from "../engine/ports.js";
import { joined } from "../platform/bytes.js";
import type { ExchangeOutcome, RequestPlan } from "../platform/fetch.js";
import { keepaliveBudget } from "../platform/keepalive-budget.js";
import type { Expiry } from "./expiry.js";
import type { TrackedSegment } from "./tracked-segment.js";
import { type Batch, SINGLE_EVENT_LIMITS, type Wire } from "./wire.js";
import type { HeadersInit, RequestCredentials } from "../platform/web-types.js";
import { TextDecoder } from "../platform/text.js";

/** The headers of the user. */
export interface HeaderSource {
  /** Reads the option. */
  resolve(): HeadersInit | undefined | Promise<HeadersInit | undefined>;
  /** `name: value` lines of the resolved headers and of the request's own, which take precedence. */
  lines(given: HeadersInit | undefined, own: Record<string, string>): string;
}

export interface SenderOptions<E> {
  wire: Wire<E>;
  /** Whether the identity of the events is present. If not, the driver is on hold when this returns. */
  isPresent(): boolean;
  timeoutMs: number;
  headers: HeaderSource;
  gzip: boolean;
  classify: Classify | undefined;
  credentials: RequestCredentials | undefined;
  /** Whether requests may go on when their page is closed. @default true */
  keepalive: boolean | undefined;
  /** The headers of the signature of a request. Called for each attempt, because signatures have a time. */
  sign: SignBatch | undefined;
}

/** `body`: that of the request, before it is compressed. */
export type SignBatch = (batch: Batch, body: Uint8Array) => Promise<Record<string, string>>;

/** How much of a response is read: a base, and more for each event, because the response may describe each. */
const RESPONSE_BYTES = 16 * 1024;
const RESPONSE_BYTES_PER_EVENT = 1024;
/** How much of a response the machine gets. */
const ERROR_TEXT_BYTES = 1024;
const NO_BODY = new Uint8Array(0);
const decoder = new TextDecoder();
/** Smaller bodies are not compressed. */
const MIN_GZIP_BYTES = 2048;
/** Not at module scope: Node loads its streams when one of them is first named. */
const canGzip = () => typeof CompressionStream === "function";
/** The share of the keepalive budget that events may use: the rest is for what separates them. */
const KEEPALIVE_SHARE = 0.96;

/** Why a request has no plan: the identity of its events is absent, or another tab leads. */
const ABSENT = Symbol("absent");

export class Sender<E> {
  /** What a server may repeat in its errors. */
  readonly secrets: Secrets = new Secrets();
  readonly #options: SenderOptions<E>;
  readonly #expiry: Expiry<E>;
  /** The headers of the user for the previous request. */
  #lastHeaders: [HeadersInit | undefined] | undefined;

  constructor(options: SenderOptions<E>, expiry: Expiry<E>) {
    this.#options = options;
    this.#expiry = expiry;
  }

  /**
   * The request for a batch. Synchronous unless headers, compression or signature are asynchronous. A page that is closed
   * waits for none of them: events without a signature stay in the store.
   *
   * @param compressedBody the body, compressed in advance
   * @param mayStart whether the outbox may send the batch. Asked last: another tab may become the leader while headers,
   * compression or signature are awaited
   */
  plan(
    batch: Batch,
    isPageHidden: boolean,
    compressedBody: Uint8Array | undefined,
    mayStart: () => boolean | Promise<boolean>,
  ): RequestPlan | Promise<RequestPlan> {
    const { credentials, keepalive = true, wire, timeoutMs, headers, gzip, isPresent, sign } = this.#options;
    try {
      const { url, headers: own, body } = wire.request(batch);
      const resolved = isPageHidden && this.#lastHeaders ? this.#lastHeaders[0] : headers.resolve();
      const signed = sign?.(batch, body);
      const finish = (given: HeadersInit | undefined, body: Uint8Array, signature = {}): RequestPlan => {
        // The headers may be those of the next user.
        if (!isPresent()) throw ABSENT;
        this.#lastHeaders = [given];
        const lines = headers.lines(given, { ...own, ...signature });
        this.secrets.addHeaders(lines);
        const plan = {
          url,
          headers: lines,
          body,
          timeoutMs,
          maxResponseBytes: RESPONSE_BYTES + batch.count * RESPONSE_BYTES_PER_EVENT,
          responseHeaders: this.#expiry.responseHeaders,
        };
        return { ...plan, credentials, keepalive: keepalive ? keepaliveBudget.take(body.length) : undefined };
      };
      const finishIfLeading = (...all: Parameters<typeof finish>) => {
        const leads = mayStart();
        if (leads === true) return finish(...all);
        return Promise.resolve(leads).then((leads) => {
          if (!leads) throw ABSENT;
          return finish(...all);
        });
      };
      const shouldCompress = gzip && body.length >= MIN_GZIP_BYTES && !isPageHidden && canGzip();
      const encoded = compressedBody ?? (shouldCompress ? compress(body) : body);
      if (encoded !== body) own["content-encoding"] = "gzip";
      if (!isPromise(encoded) && !isPromise(resolved) && !signed) return finishIfLeading(resolved, encoded);
      return Promise.all([resolved, encoded, signed]).then((all) => finishIfLeading(...all));
    } catch (cause) {
      return Promise.reject(cause);
    }
  }

  /** Tells the machine how a request ended. `setCause` gets the error of a response that `classify` has not accepted. */
  reportOutcome(
    port: OutboxPort,
    now: number,
    id: number,
    outcome: ExchangeOutcome,
    batch: Batch,
    setCause: (cause: unknown) => void,
  ): void {
    if (outcome.kind === "failure" && outcome.cause === ABSENT) {
      port.input(OUTBOX_INPUTS.notSent, now, id);
      return;
    }
    if (outcome.kind === "response") this.#expiry.noteAnswer(outcome.headers);
    this.#expiry.tellTime(port, now);
    if (outcome.kind === "failure") {
      port.input(OUTBOX_INPUTS.failure, now, id, FAILURE[outcome.reason]);
      return;
    }
    const { wire } = this.#options;
    const { status, retryAfterMs } = outcome;
    const body = joined(outcome.chunks);
    if (wire.rejectsBatches?.(status, batch)) {
      port.input(
        OUTBOX_INPUTS.limitBatches,
        now,
        id,
        SINGLE_EVENT_LIMITS["batch.maxEvents"],
        SINGLE_EVENT_LIMITS.concurrency,
      );
      return;
    }
    let result: Classified;
    try {
      result = this.#classify({ status, body }, batch);
    } catch (cause) {
      setCause(cause);
      port.input(OUTBOX_INPUTS.failure, now, id, FAILURE.network);
      return;
    }
    if (result === "retry") {
      setCause(notAccepted("retry", status));
      port.input(OUTBOX_INPUTS.failure, now, id, FAILURE.network);
      return;
    }
    if (result !== undefined) {
      const each = typeof result === "string" ? undefined : result.map((one) => statusFor(one, status));
      if (each) port.input_list(OUTBOX_LIST_INPUTS.responseEach, now, id, retryAfterMs, Float64Array.from(each));
      else port.response(now, id, statusFor(result as EventOutcome, status), retryAfterMs, "", NO_BODY);
      return;
    }
    const statuses = wire.eventStatuses?.(status, body, batch);
    if (statuses) port.input_list(OUTBOX_LIST_INPUTS.responseEach, now, id, retryAfterMs, Float64Array.from(statuses));
    else {
      const members = wire.membersOf?.(body) ?? "";
      port.response(now, id, status, retryAfterMs, members, body.subarray(0, ERROR_TEXT_BYTES));
    }
  }

  #classify({ status, body }: { status: number; body: Uint8Array }, batch: Batch): Classified {
    const { classify, wire } = this.#options;
    if (!classify) return undefined;
    const events = batch.texts().map((text) => ({ id: wire.idOf(text), text: decoder.decode(text) }));
    return classified(classify, { status, body }, events);
  }

  /** Compresses in advance the body of a request with exactly the events of a segment. */
  compressSegment(segment: TrackedSegment): void {
    const { wire, gzip } = this.#options;
    const body = gzip && canGzip() && wire.encodeBody?.([segment.body!]);
    if (!body || body.length < MIN_GZIP_BYTES) return;
    void compress(body).then(
      (compressed) => {
        if (segment.body) segment.compressedBody = compressed;
      },
      () => undefined,
    );
  }

  /** How many bytes of events a closing page can still send, assuming that they compress as well as these segments. */
  keepaliveCapacity(segments: Iterable<TrackedSegment>): number {
    let [plainBytes, compressedBytes] = [1, 1];
    for (const { body, compressedBody } of segments) {
      plainBytes += body!.length;
      compressedBytes += (compressedBody ?? body!).length;
    }
    return Math.floor(keepaliveBudget.remainingBytes * KEEPALIVE_SHARE * (plainBytes / compressedBytes));
  }
}

/** The status that says to the machine what `classify` has said. */
function statusFor(outcome: EventOutcome, status: number): number {
  if (outcome === "delivered") return status >= 200 && status < 300 ? status : 200;
  return outcome === "retry" ? 503 : 422;
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === "function";
}

async function compress(body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([body as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
