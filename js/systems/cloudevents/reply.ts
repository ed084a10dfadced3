/** Replies: events in the response to an event, as Knative has them. */
import type { CallResponse } from "../../client/calls.js";
import { FerryError } from "../../engine/errors.js";
import type { DeliveryInfo } from "../../outbox/segment-outcomes.js";
import type { CloudEvent } from "./event.js";
import { batchFromHttp, contentMode } from "./http.js";

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
  if (status === 207 || contentMode(pairs) === undefined) return {};
  try {
    const reply = [...batchFromHttp(pairs, body)];
    return reply.length === 0 ? {} : { reply };
  } catch (error) {
    if (error instanceof FerryError) return { replyError: error };
    throw error;
  }
}
