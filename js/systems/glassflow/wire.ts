/** GlassFlow on the outbox: one event in each request. Events have no ids in GlassFlow, so one is kept beside each until it is delivered. */
import { CloudEvent } from "../cloudevents/event.js";
import type { Batch, Encoded, Wire, WireRequest } from "../../outbox/wire.js";
import { freshId } from "../../platform/uuid.js";
import { jsonOf } from "./json.js";

const HEADERS = { accept: "application/json", "content-type": "application/json" };
/** `["<id>",<event>]`, with the id as it is in JSON. */
const FRAME = /^\["((?:[^"\\]|\\.)*)",/;
const LONGEST_ID = 1024;
const decoder = new TextDecoder();

export class PipelineWire implements Wire<unknown> {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  encode(event: unknown): Encoded {
    const json = jsonOf(event);
    const id = event instanceof CloudEvent && event.id.length <= LONGEST_ID ? event.id : freshId();
    return { id, text: `[${JSON.stringify(id)},${json}]` };
  }

  idOf(body: Uint8Array): string {
    const [, id] = FRAME.exec(headOf(body)) ?? [];
    return id === undefined ? "" : (JSON.parse(`"${id}"`) as string);
  }

  textOf(body: Uint8Array): string {
    return decoder.decode(eventOf(body));
  }

  request({ chunks }: Batch): WireRequest {
    return { url: this.#url, headers: { ...HEADERS }, body: eventOf(chunks[0]!) };
  }
}

function eventOf(body: Uint8Array): Uint8Array {
  const [frame] = FRAME.exec(headOf(body)) ?? [];
  return frame === undefined ? body : body.subarray(new TextEncoder().encode(frame).length, -1);
}

/** As much of it as the longest id takes, were it all escapes. */
function headOf(body: Uint8Array): string {
  return decoder.decode(body.subarray(0, LONGEST_ID * 6 + 8));
}
