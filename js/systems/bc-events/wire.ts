/**
 * BriteEvents on the outbox. The stored form of an event decides how it is sent:
 *
 * ```text
 *   {"bulk":0,"id":"…","job":"…","event":{"action":…,"category":…,"entity":…,"data":…,"actor":…}}
 *           │                           └─ the body that is sent
 *           └─ 1 if more than five events were flushed together
 *
 *   bulk 0   POST {api}/events         one event                   x-britecore-job-id: {job}
 *   bulk 1   POST {api}/events/bulk/   up to 250 of one flush      x-britecore-job-id: {job}
 * ```
 *
 * `src/bc_events/wire.rs` classifies the responses, from what `response.ts` reads in them.
 */
import { ignoreErrors } from "../../client/ignore-errors.js";
import { invalidArgument } from "../../engine/messages.js";
import { OUTBOX_CLASSIFIERS } from "../../engine/ports.js";
import { toJsonArray } from "../../outbox/json-texts.js";
import type { Batch, Encoded, Grouping, Wire, WireRequest } from "../../outbox/wire.js";
import { TextDecoder, TextEncoder } from "../../platform/text.js";
import { membersOf } from "./response.js";

/** Up to this many events of one flush are sent one by one. */
const MAX_SINGLE_EVENTS = 5;
const MAX_BULK_EVENTS = 250;
const JOB_HEADER = "x-britecore-job-id";
const ZERO = 48;
const ONE = 49;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Precedes the event. Quotes inside the id and the job are escaped, so the first match is the member. */
const EVENT_MEMBER = encoder.encode(',"event":');
const BULK_FLAG_INDEX = '{"bulk":'.length;

/** The members that precede the event. */
interface StoredHead {
  bulk: number;
  id: string;
  job: string;
}

/** The protocol of BriteEvents, for the outbox. */
export class BriteEventsWire implements Wire<Encoded> {
  readonly classifier: number = OUTBOX_CLASSIFIERS.bcEvents;
  readonly #url: string;
  readonly #bulkUrl: string;
  readonly #log: ((entry: BriteEventsLogEntry) => void) | undefined;

  constructor(urls: { publish: string; publishBulk: string }, log?: (entry: BriteEventsLogEntry) => void) {
    this.#url = urls.publish;
    this.#bulkUrl = urls.publishBulk;
    this.#log = log;
  }

  /** Sessions of the client pass encoded events, because they know the topic. Sessions of the outbox itself do not. */
  encode(event: Encoded): Encoded {
    if (!(event instanceof EncodedEvent))
      throw invalidArgument("publish events with a session of the client, such as client.userSession(…)");
    return event;
  }

  onCommit(text: Uint8Array, flushed: number): void {
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
    return eventTextOf(text);
  }

  membersOf(response: Uint8Array): string {
    return membersOf(response);
  }

  request(batch: Batch): WireRequest {
    const texts = batch.texts();
    const head = parseHead(texts[0]!);
    this.#report(texts, head?.job);
    const headers: Record<string, string> = {
      "content-type": "application/json",
      ...(head && { [JOB_HEADER]: head.job }),
    };
    // The page is closing and allows one more request, so several single events share it as a batch.
    if (texts.length === 1 && !head?.bulk) return { url: this.#url, headers, body: eventBytes(texts[0]!) };
    return { url: this.#bulkUrl, headers, body: toJsonArray(texts.map(eventBytes)) };
  }

  #report(texts: readonly Uint8Array[], jobId: string | undefined): void {
    if (!this.#log) return;
    const topics = [...new Set(texts.map(topicNameOf))];
    const message = texts.length === 1 ? `Publishing event ${topics[0]}` : `Publishing ${texts.length} Events`;
    // A log must not keep events from being sent.
    ignoreErrors(() => this.#log!({ message, count: texts.length, topics, ...(jobId !== undefined && { jobId }) }));
  }
}

/** A line of the log: a request is about to be sent. It has no data of the events. */
export interface BriteEventsLogEntry {
  /** `Publishing event claims.PolicyCreated`, or `Publishing 7 Events`, as the original logs it. */
  readonly message: string;
  /** How many events the request has. */
  readonly count: number;
  /** The names of their topics. */
  readonly topics: readonly string[];
  /** The id of the job. */
  readonly jobId?: string;
}

function topicNameOf(text: Uint8Array): string {
  try {
    const { category, entity, action } = JSON.parse(decoder.decode(eventBytes(text))) as Record<string, string>;
    return `${category}.${entity}${action}`;
  } catch {
    return "";
  }
}

/** An event in its stored form. The flag `bulk` is set when the event is flushed. */
export class EncodedEvent implements Encoded {
  readonly id: string;
  readonly text: string;
  /** The ordering key: events of one job keep their order. */
  readonly orderingKey: string;

  constructor(id: string, job: string, event: string) {
    this.id = id;
    this.text = `{"bulk":0,"id":${JSON.stringify(id)},"job":${JSON.stringify(job)},"event":${event}}`;
    this.orderingKey = job;
  }
}

/** Undefined if the stored text is corrupt. */
function parseHead(text: Uint8Array): StoredHead | undefined {
  const end = indexOfEventMember(text);
  if (end < 0) return undefined;
  try {
    return JSON.parse(`${decoder.decode(text.subarray(0, end))}}`) as StoredHead;
  } catch {
    return undefined;
  }
}

/** The event that is sent, of its stored form. */
export function eventTextOf(text: Uint8Array): string {
  return decoder.decode(eventBytes(text));
}

/** The event that is sent. A corrupt text is sent as it is, and the server rejects it. */
function eventBytes(text: Uint8Array): Uint8Array {
  const end = indexOfEventMember(text);
  return end < 0 ? text : text.subarray(end + EVENT_MEMBER.length, text.length - 1);
}

function indexOfEventMember(text: Uint8Array): number {
  for (let start = text.indexOf(EVENT_MEMBER[0]!); start >= 0; start = text.indexOf(EVENT_MEMBER[0]!, start + 1)) {
    if (EVENT_MEMBER.every((byte, index) => text[start + index] === byte)) return start;
  }
  return -1;
}
