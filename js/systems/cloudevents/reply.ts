/** Replies: events in the response to an event, as Knative has them. */
import type { CallResponse } from "../../client/calls.js";
import { FerryError } from "../../engine/errors.js";
import type { DeliveryInfo } from "../../outbox/segment-outcomes.js";
import { type CloudEvent, scanBytes } from "./event.js";
import { headerOf } from "./headers.js";
import { checkJsonFormat, contentMode, decode } from "./http.js";
import { splitJson } from "./json-split.js";
import { mixedVersions } from "./table.js";
import { TextDecoder } from "../../platform/text.js";

/** What `send` resolves with. */
export interface SendInfo extends DeliveryInfo {
  /** The events with which the receiver has replied, if there are any. */
  reply?: CloudEvent[];
  /** Why its reply could not be read. The event was delivered all the same. */
  replyError?: FerryError;
}

/** The headers of a response that are attributes of an event in binary mode, as lines. */
export function replyHeaders(headers: Headers): string {
  let lines = "";
  headers.forEach((value, name) => {
    if (name.startsWith("ce-")) lines += `${name}: ${value}\n`;
  });
  return lines;
}

/** The events in a response; nothing if there are none. */
export function readReply({ headers, body, status }: CallResponse): Pick<SendInfo, "reply" | "replyError"> {
  const pairs = headers
    .split("\n")
    .filter((line) => line !== "")
    .map((line): [string, string] => {
      const at = line.indexOf(": ");
      return [line.slice(0, at), line.slice(at + 2)];
    });
  const mode = contentMode(pairs);
  if (status === 207 || mode === undefined) return {};
  try {
    const reply = mode === "batch" ? eventsOfBatch(pairs, body) : [decode(pairs, body, undefined)];
    return reply.length === 0 ? {} : { reply };
  } catch (error) {
    if (error instanceof FerryError) return { replyError: error };
    throw error;
  }
}

/** The events of a batch, one by one. A reply has few; for them nobody needs to download the reader of large batches. */
function eventsOfBatch(headers: readonly [string, string][], body: Uint8Array): CloudEvent[] {
  checkJsonFormat(headerOf(headers, "content-type")!);
  // In ISO-8859-1 each byte is one character, so positions in this text are positions of bytes.
  const parts = splitJson(new TextDecoder("latin1").decode(body), "[");
  if (!parts) throw new FerryError("ERR_INVALID_BATCH");
  const events = parts.map(([start, end]) => scanBytes(body.slice(start, end)));
  const odd = events.findIndex(({ specversion }) => specversion !== events[0]!.specversion);
  if (odd > 0) throw mixedVersions(odd);
  return events;
}
