/** What a system tells the outbox about its protocol. The outbox itself knows neither headers nor JSON. */
import type { Bytes } from "../platform/bytes.js";

/** An event ready to be staged. */
export interface Encoded {
  readonly id: string;
  /** JSON text of the event. */
  readonly text: string;
  /** Events with the same key are delivered in order. */
  readonly orderingKey?: string | undefined;
  /** Whether it may have a time in `expiryTimes`. @default false */
  readonly mayExpire?: boolean;
}

/** The events of one request. */
export interface Batch {
  readonly count: number;
  /** Their JSON texts, in order. Each chunk holds one or more texts, separated by commas. */
  readonly chunks: readonly Uint8Array[];
  /** The id of each event. */
  ids(): string[];
  /** The text of each event. */
  texts(): Uint8Array[];
  /** Whether the store has some of them. */
  isStored(): boolean;
}

/** Which events may share a request. */
export interface Grouping {
  /** Only events with the same batch key share a request. */
  readonly batchKey: string;
  /** How many events of one flush a request may have. Events of different flushes never share a request. */
  readonly maxEvents: number;
}

/** A request without the headers of the user. */
export interface WireRequest {
  url: string;
  headers: Record<string, string>;
  body: Uint8Array;
}

/** Limits for requests of one event each. Browsers and Workers allow six simultaneous connections to one server. */
export const SINGLE_EVENT_LIMITS = { "batch.maxEvents": 1, concurrency: 6 } as const;

export interface Wire<E> {
  /** Validates an event and serializes it. */
  encode(event: E): Encoded;
  /** Called for each text of a flush of so many events. May change the text in place, but not its length. */
  onCommit?(text: Uint8Array, eventCount: number): void;
  /**
   * The grouping of an event, where not all events may share a request. All events of a flush have the same grouping.
   */
  grouping?(text: Uint8Array): Grouping;
  /** One of `OUTBOX_CLASSIFIERS`, where the status of a response is not enough. @default by status */
  readonly classifier?: number;
  /** For the classifier, what the body of a response says beside its status, as lines. */
  membersOf?(response: Uint8Array): string;
  /** The id of an encoded event; empty if the text is damaged. */
  idOf(body: Uint8Array): string;
  /** The text of a dead letter as applications see it. @default the encoded event */
  textOf?(body: Uint8Array): string;
  /**
   * When each event expires, in Unix milliseconds; NaN for those that do not. Undefined if none does.
   *
   * @param body the texts, separated by commas
   */
  expiryTimes?(body: Uint8Array, texts: () => readonly Uint8Array[]): number[] | undefined;
  /** The request for a batch. */
  request(batch: Batch): WireRequest;
  /** The body of a request with exactly these events, if it can be made in advance. */
  encodeBody?(chunks: readonly Uint8Array[]): Bytes | undefined;
  /**
   * Whether a response means that the server accepts no batches. If so, requests follow `SINGLE_EVENT_LIMITS` from then
   * on.
   */
  rejectsBatches?(status: number, batch: Batch): boolean;
  /** The status of each event, if the response has one for each. */
  eventStatuses?(status: number, response: Uint8Array, batch: Batch): readonly number[] | undefined;
}

/** How many events of a segment may share a request, which then has no others; 0 if they may share it with any events. */
export function maxGroupedEvents<E>(wire: Wire<E>, body: Uint8Array, sizes: ArrayLike<number>): number {
  return wire.grouping && sizes.length > 0 ? wire.grouping(body.subarray(0, sizes[0])).maxEvents : 0;
}
