/**
 * GlassFlow on the outbox: one event in each request. GlassFlow events have no ids; the outbox stores one next to each
 * event, as `["<id>",<event>]`.
 */
import type { Batch, Encoded, Wire, WireRequest } from "../../outbox/wire.js";
import { freshId } from "../../platform/uuid.js";
import { CloudEvent } from "../cloudevents/event.js";
import { eventToJson } from "./json.js";
import { TextDecoder, TextEncoder } from "../../platform/text.js";

const HEADERS = { accept: "application/json", "content-type": "application/json" };
/** The part of a stored event before its JSON text; the group is the id as a JSON string without its quotes. */
const PREFIX = /^\["((?:[^"\\]|\\.)*)",/;
const MAX_ID_LENGTH = 1024;
const decoder = new TextDecoder();

export class PipelineWire implements Wire<unknown> {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  encode(event: unknown): Encoded {
    const json = eventToJson(event);
    const id = event instanceof CloudEvent && event.id.length <= MAX_ID_LENGTH ? event.id : freshId();
    return { id, text: `[${JSON.stringify(id)},${json}]` };
  }

  idOf(body: Uint8Array): string {
    const [, id] = matchPrefix(body) ?? [];
    return id === undefined ? "" : (JSON.parse(`"${id}"`) as string);
  }

  textOf(body: Uint8Array): string {
    return decoder.decode(eventBytes(body));
  }

  request({ chunks }: Batch): WireRequest {
    return { url: this.#url, headers: { ...HEADERS }, body: eventBytes(chunks[0]!) };
  }
}

function eventBytes(body: Uint8Array): Uint8Array {
  const [prefix] = matchPrefix(body) ?? [];
  return prefix === undefined ? body : body.subarray(new TextEncoder().encode(prefix).length, -1);
}

/** Decodes no more than the longest id takes if all of its characters are escaped. */
function matchPrefix(body: Uint8Array): RegExpExecArray | null {
  return PREFIX.exec(decoder.decode(body.subarray(0, MAX_ID_LENGTH * 6 + 8)));
}
