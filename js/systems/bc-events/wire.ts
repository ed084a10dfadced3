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
import { toJsonArray } from "../../outbox/json-texts.js";
import { type Batch, type Encoded, type Grouping, type Wire, type WireRequest } from "../../outbox/wire.js";
import { invalidArgument } from "../../engine/messages.js";
import { OUTBOX_CLASSIFIERS } from "../../engine/ports.js";

/** Up to so many events of a flush go one by one. */
const MOST_SINGLES = 5;
const MOST_IN_BULK = 250;
const JOB_HEADER = "x-britecore-job-id";
const ZERO = 48;
const ONE = 49;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Before the event; quotes within the texts before it are escaped, so it is there once. */
const SEPARATOR = encoder.encode(',"event":');
/** Where the flag is. */
const BULK_AT = '{"bulk":'.length;

/** What stands before the event. */
interface Head {
  bulk: number;
  id: string;
  job: string;
}

export class BcEventsWire implements Wire<Encoded> {
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

  onCommit(text: Uint8Array, flushed: number): void {
    text[BULK_AT] = flushed > MOST_SINGLES ? ONE : ZERO;
  }

  grouping(text: Uint8Array): Grouping {
    const { bulk, job } = headOf(text) ?? { bulk: 0, job: "" };
    return { batchKey: `${bulk}${job}`, maxEvents: bulk ? MOST_IN_BULK : 1 };
  }

  idOf(body: Uint8Array): string {
    return headOf(body)?.id ?? "";
  }

  textOf(text: Uint8Array): string {
    return decoder.decode(eventOf(text));
  }

  request(batch: Batch): WireRequest {
    const texts = batch.texts();
    const head = headOf(texts[0]!);
    const headers: Record<string, string> = {
      "content-type": "application/json",
      ...(head && { [JOB_HEADER]: head.job }),
    };
    // More than one event that should go alone: the page ends, and there is time for one request.
    if (texts.length === 1 && !head?.bulk) return { url: this.#url, headers, body: eventOf(texts[0]!) };
    return { url: this.#bulkUrl, headers, body: toJsonArray(texts.map(eventOf)) };
  }
}

/** An event as it is stored. The flag is set when it is flushed. */
export class EncodedEvent implements Encoded {
  readonly id: string;
  readonly text: string;
  /** Events of one job keep their order. */
  readonly orderingKey: string;

  constructor(id: string, job: string, event: string) {
    this.id = id;
    this.text = `{"bulk":0,"id":${JSON.stringify(id)},"job":${JSON.stringify(job)},"event":${event}}`;
    this.orderingKey = job;
  }
}

/** Nothing if a store has spoiled it. */
function headOf(text: Uint8Array): Head | undefined {
  const end = separatorAt(text);
  if (end < 0) return undefined;
  try {
    return JSON.parse(`${decoder.decode(text.subarray(0, end))}}`) as Head;
  } catch {
    return undefined;
  }
}

/** What is sent; all of it if a store has spoiled it, for the server to say what that is. */
function eventOf(text: Uint8Array): Uint8Array {
  const end = separatorAt(text);
  return end < 0 ? text : text.subarray(end + SEPARATOR.length, text.length - 1);
}

function separatorAt(text: Uint8Array): number {
  for (let at = text.indexOf(SEPARATOR[0]!); at >= 0; at = text.indexOf(SEPARATOR[0]!, at + 1)) {
    if (SEPARATOR.every((byte, index) => text[at + index] === byte)) return at;
  }
  return -1;
}
