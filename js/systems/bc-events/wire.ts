/**
 * BriteEvents on the outbox. What is stored of an event says how it travels:
 *
 * ```text
 *   {"bulk":0,"id":"…","job":"…","event":{"action":…,"category":…,"entity":…,"data":…,"actor":…}}
 *           │                           └─ what is sent
 *           └─ 1 if more than five were flushed together
 *
 *   bulk 0   POST {api}/events         one event                   x-britecore-job-id: {job}
 *   bulk 1   POST {api}/events/bulk/   up to 250 of one flush      the same
 * ```
 *
 * The server's answers are read in `src/bc_events/wire.rs`.
 */
import { listed } from "../../outbox/tracked-segment.js";
import { type Batch, type Encoded, type Grouping, type Wire, type WireRequest } from "../../outbox/wire.js";
import { invalidArgument } from "../../engine/messages.js";
import { OUTBOX_CLASSIFIERS } from "../../engine/ports.js";

/** Up to so many events of a flush go one by one. */
const MAX_SINGLE_EVENTS = 5;
const MAX_BULK_EVENTS = 250;
const JOB_HEADER = "x-britecore-job-id";
const ZERO = 48;
const ONE = 49;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Before the event; quotes within the texts before it are escaped, so it is there once. */
const EVENT_MEMBER = encoder.encode(',"event":');
/** Where the flag is. */
const BULK_FLAG_INDEX = '{"bulk":'.length;

/** What stands before the event. */
interface StoredHead {
  bulk: number;
  id: string;
  job: string;
}

export class BriteEventsWire implements Wire<Encoded> {
  readonly classifier = OUTBOX_CLASSIFIERS.bcEvents;
  readonly #url: string;
  readonly #bulkUrl: string;

  constructor(urls: { publish: string; publishBulk: string }) {
    this.#url = urls.publish;
    this.#bulkUrl = urls.publishBulk;
  }

  /** Sessions have done it, because they know the topic. Those of `outbox.run` do not. */
  encode(event: Encoded): Encoded {
    if (!(event instanceof EncodedEvent))
      throw invalidArgument("events are published with a session of the client, such as client.userSession(…)");
    return event;
  }

  seal(text: Uint8Array, flushed: number): void {
    text[BULK_FLAG_INDEX] = flushed > MAX_SINGLE_EVENTS ? ONE : ZERO;
  }

  grouping(text: Uint8Array): Grouping {
    const { bulk, job } = parseHead(text) ?? { bulk: 0, job: "" };
    return { batchKey: `${bulk}${job}`, maxEvents: bulk ? MAX_BULK_EVENTS : 1 };
  }

  idOf(body: Uint8Array): string {
    return parseHead(body)?.id ?? "";
  }

  textOf(text: Uint8Array): string {
    return decoder.decode(eventBytes(text));
  }

  request(batch: Batch): WireRequest {
    const texts = batch.texts();
    const head = parseHead(texts[0]!);
    const headers: Record<string, string> = {
      "content-type": "application/json",
      ...(head && { [JOB_HEADER]: head.job }),
    };
    // More than one event that should go alone: the page ends, and there is time for one request.
    if (texts.length === 1 && !head?.bulk) return { url: this.#url, headers, body: eventBytes(texts[0]!) };
    return { url: this.#bulkUrl, headers, body: listed(texts.map(eventBytes)) };
  }
}

/** An event as it is stored. The flag is set when it is flushed. */
export class EncodedEvent implements Encoded {
  readonly id: string;
  readonly text: string;
  /** Events of one job keep their order. */
  readonly key: string;

  constructor(id: string, job: string, event: string) {
    this.id = id;
    this.text = `{"bulk":0,"id":${JSON.stringify(id)},"job":${JSON.stringify(job)},"event":${event}}`;
    this.key = job;
  }
}

/** Nothing if a store has spoiled it. */
function parseHead(text: Uint8Array): StoredHead | undefined {
  const end = indexOfEventMember(text);
  if (end < 0) return undefined;
  try {
    return JSON.parse(`${decoder.decode(text.subarray(0, end))}}`) as StoredHead;
  } catch {
    return undefined;
  }
}

/** What is sent; all of it if a store has spoiled it, for the server to say what that is. */
function eventBytes(text: Uint8Array): Uint8Array {
  const end = indexOfEventMember(text);
  return end < 0 ? text : text.subarray(end + EVENT_MEMBER.length, text.length - 1);
}

function indexOfEventMember(text: Uint8Array): number {
  for (let at = text.indexOf(EVENT_MEMBER[0]!); at >= 0; at = text.indexOf(EVENT_MEMBER[0]!, at + 1)) {
    if (EVENT_MEMBER.every((byte, index) => text[at + index] === byte)) return at;
  }
  return -1;
}
