/** What an event keeps beside its members: the text or bytes that arrived, and the data that were handed out. */
import { asBytes, isBytes, isEqualBytes } from "./bytes.js";
import { bytesOf, decodeData } from "./event-data.js";
import type { Payload } from "./event-fields.js";
import { stringifyData } from "./json-data.js";

/** The media type is the default one, which the JSON format need not name. */
export const HAS_DEFAULT_CONTENT_TYPE = 1;
/** All attributes can be written between quotes as they are, and there are no extension attributes. */
export const IS_PLAIN = 2;

/** The JSON format of an event, as it arrived; `undefined` for an event that did not arrive in it. */
export type Received = string | Uint8Array | undefined;

/** The state of an event that has more than what arrived. */
export class EventState {
  readonly flags: number;
  readonly received: Received;
  /** The payload as a value, after it was first read. */
  data: unknown = undefined;

  constructor(flags: number, received: Received) {
    this.flags = flags;
    this.received = received;
  }
}

export function dataOf(state: EventState | Received): unknown {
  return state instanceof EventState ? state.data : undefined;
}

export function flagsOf(state: EventState | Received): number {
  return state instanceof EventState ? state.flags : 0;
}

export function receivedOf(state: EventState | Received): Received {
  return state instanceof EventState ? state.received : state;
}

/** The media type that the event names itself. */
export function explicitContentType(event: Payload, state: EventState | Received): string | undefined {
  return flagsOf(state) & HAS_DEFAULT_CONTENT_TYPE ? undefined : event.datacontenttype;
}

/** The payload as it is written: that of the event, unless its `data` were handed out and then changed. */
export function currentPayload(event: Payload, data: unknown): Payload {
  if (typeof data !== "object" || data === null) return event;
  const { specversion, datacontenttype } = event;
  if (isBytes(data)) {
    const bytes = asBytes(data);
    if (isEqualBytes(bytes, bytesOf(event)!)) return event;
    return { specversion, datacontenttype, rawKind: "bytes", rawData: bytes.slice() };
  }
  const text = stringifyData(data);
  if (text === JSON.stringify(decodeData(event))) return event;
  return { specversion, datacontenttype, rawKind: "json", rawData: text };
}
