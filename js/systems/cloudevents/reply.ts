/** Replies: events in the response to an event, as Knative has them. */
import type { CallResponse } from "../../client/calls.js";
import { FerryError } from "../../engine/errors.js";
import type { DeliveryInfo } from "../../outbox/segment-outcomes.js";
import { scanEach } from "./batch-each.js";
import type { CloudEvent } from "./event.js";
import { withoutBom } from "./event-data.js";
import { headerOf } from "./headers.js";
import { checkJsonFormat, contentMode, decode } from "./http.js";

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
    const reply = mode === "batch" ? [...eventsOfBatch(pairs, body)] : [decode(pairs, body, undefined)];
    return reply.length === 0 ? {} : { reply };
  } catch (error) {
    if (error instanceof FerryError) return { replyError: error };
    throw error;
  }
}

/** A reply has few events: one by one they need no reader of large batches, which a publisher would have to download. */
function eventsOfBatch(headers: readonly [string, string][], body: Uint8Array): readonly CloudEvent[] {
  checkJsonFormat(headerOf(headers, "content-type")!);
  return scanEach(withoutBom(body), "batch", {}, new FerryError("ERR_INVALID_BATCH"), 0).events;
}
