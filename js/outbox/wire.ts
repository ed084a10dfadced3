/** What a room tells the outbox about its protocol. The outbox itself knows no headers and no JSON. */

/** An event ready to be staged. */
export interface Encoded {
  readonly id: string;
  /** Its JSON text. */
  readonly text: string;
  /** Events with the same key are delivered in order. */
  readonly orderingKey?: string | undefined;
}

/** Bodies of events that go in one request. */
export interface Batch {
  readonly count: number;
  /** Stretches of JSON texts parted by commas, in order. */
  readonly chunks: readonly Uint8Array[];
  /** The id of each event. */
  ids(): string[];
  /** The text of each event. */
  texts(): Uint8Array[];
}

/** What events have to have in common to share a request, and how many of them may. */
export interface Grouping {
  readonly batchKey: string;
  /** Events of one flush in one request at most; other flushes have requests of their own. */
  readonly maxEvents: number;
}

/** A request without the headers of the user. */
export interface WireRequest {
  url: string;
  headers: Record<string, string>;
  body: Uint8Array;
}

/** Requests of one event each: six at once is what browsers and Workers allow towards one server. */
export const SINGLE_EVENT_LIMITS = { maxEvents: 1, concurrency: 6 } as const;

export interface Wire<E> {
  /** Checks an event and turns it into text. */
  encode(event: E): Encoded;
  /** Events are flushed, so many together: may change each text in place, but not its length. */
  onCommit?(text: Uint8Array, flushed: number): void;
  /**
   * Whose kin an event is, where not all may share a request. All events of a flush are of the same kin, and those of a dead letter that is
   * replayed go with their kin too.
   */
  grouping?(text: Uint8Array): Grouping;
  /** One of `OUTBOX_CLASSIFIERS`, where the status of an answer does not say it all. @default by status */
  readonly classifier?: number;
  /** The id of an encoded event; empty if it is none, because a store has spoiled it. */
  idOf(body: Uint8Array): string;
  /** The event itself, as people may want to see it of a dead letter. Left out where that is the encoded event. */
  textOf?(body: Uint8Array): string;
  /** The request that carries these events. */
  request(batch: Batch): WireRequest;
  /** The body of a request with exactly these, if that can be said beforehand. */
  encodeBody?(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> | undefined;
  /** Whether an answer says that the server takes no batches. From then on requests are made of `SINGLES`. */
  rejectsBatches?(status: number, batch: Batch): boolean;
  /** The status of each event, if an answer speaks of each. */
  eventStatuses?(status: number, answer: Uint8Array, batch: Batch): readonly number[] | undefined;
}
