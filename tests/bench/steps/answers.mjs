// An answer to a poll: a thousand events of 1 KB.
import { plainEvents } from "../inputs.mjs";

export const EVENTS = 1000;
export const CHANNEL = "/orders";
const EVENT_BYTES = 1000;
const CHUNK_BYTES = 64 * 1024;

const encoder = new TextEncoder();
const messages = plainEvents(EVENTS, EVENT_BYTES - 80).map(
  ({ id, data }) => `{"channel":"${CHANNEL}","id":"${id}","data":${JSON.stringify(data)}}`,
);

/** The JSON texts of the data. */
export const dataTexts = plainEvents(EVENTS, EVENT_BYTES - 80).map(({ data }) => JSON.stringify(data));

/** The bytes of the answer. */
export const answerTo = (reply) => encoder.encode(`[${messages.join(",")},${JSON.stringify(reply)}]`);

/** A response whose body arrives in chunks, as from a network. */
export function responseOf(bytes) {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.slice(at, at + CHUNK_BYTES));
  const body = new ReadableStream({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk) controller.enqueue(chunk);
      else controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "application/json" } });
}
