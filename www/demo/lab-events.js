// The events of the batch lab: a sample, batches of many events, and the text of the field as a batch.
import { EventBatch } from "eventferry/cloudevents";

const TYPES = ["order.created", "order.paid", "order.cancelled", "stock.low"];
const REGIONS = ["eu", "us", "asia"];

/** A batch in the JSON batch format with one event a line. The same number gives the same events. */
export function makeEvents(count) {
  const events = Array.from({ length: count }, (_, at) => ({
    specversion: "1.0",
    id: String(at),
    source: `/shops/${at % 17}`,
    type: `com.example.${TYPES[at % TYPES.length]}`,
    region: REGIONS[at % REGIONS.length],
    // An event without the attribute: an expression that needs it has an error there.
    ...(at % 5 === 4 ? {} : { priority: (at % 5) + 1 }),
    data: { orderId: 1000 + at, total: (at * 37) % 500, items: [`item ${at % 11}`, `item ${at % 13}`] },
  }));
  return `[${events.map((event) => JSON.stringify(event)).join(",\n")}]`;
}

/**
 * Reads a JSON batch, one event a line, or a single event.
 *
 * @returns the valid events as a batch, and those that are not
 * @throws {Error} with the place in the text
 */
export function readEvents(text) {
  const start = text.trimStart()[0];
  if (start === undefined) throw new Error("There is no event. Expected a JSON array of events, or one event a line.");
  if (start !== "[" && start !== "{")
    throw new Error(`Expected [ or { at the start; found ${JSON.stringify(text.trim().slice(0, 12))}.`);
  const isSingle = start === "{" && isJson(text);
  const format = start === "[" || isSingle ? "batch" : "ndjson";
  try {
    const batch = EventBatch.parse(isSingle ? `[${text}]` : text, { format, onInvalid: "skip" });
    return { batch, rejected: batch.rejected };
  } catch (error) {
    throw new Error(`${error.message}${placeOf(error.message, text)}`);
  }
}

/** The line and the column of a position that a message names. */
function placeOf(message, text) {
  const position = /\(at position (\d+)\)/.exec(message)?.[1];
  if (position === undefined) return "";
  const before = text.slice(0, Number(position)).split("\n");
  return `: line ${before.length}, column ${before.at(-1).length + 1}`;
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
