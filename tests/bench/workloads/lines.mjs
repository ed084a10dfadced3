// NDJSON as bytes, in which one line of ten is not a valid event: counts the events that are.
import { plainEvents } from "../inputs.mjs";

const LINES = 1000;
const BODIES = 16;
const HEADERS = { "content-type": "application/cloudevents+json" };
const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function lineTables({ ferry: { EventBatch, Filter }, sdk: { HTTP } }) {
  return [
    {
      title: "validate 1000 lines, one of ten invalid, data 100 B",
      unit: "body",
      make() {
        // From now on the module of the filters scans, which leaves invalid lines out in one pass.
        Filter.sql("TRUE");
        const inputs = Array.from({ length: BODIES }, (_, at) => encoder.encode(body(300 + at)));
        const linesOf = (bytes) => decoder.decode(bytes).split("\n").filter(Boolean);
        const withSdk = (line) => HTTP.toEvent({ headers: HEADERS, body: line });
        const count = (each) => (bytes) => {
          let valid = 0;
          for (const line of linesOf(bytes)) {
            try {
              each(line);
              valid++;
            } catch {}
          }
          return valid;
        };
        const contender = (name, validate) => ({
          name,
          show: (at) => validate(inputs[at]),
          run(from, to) {
            let sum = 0;
            for (let at = from; at < to; at++) sum += validate(inputs[at]);
            return sum;
          },
        });
        return {
          inputs: BODIES,
          contenders: [
            contender("cloudevents", count(withSdk)),
            contender("JSON.parse and checks", count(checked)),
            contender("eventferry", (bytes) => EventBatch.parse(bytes, { format: "ndjson", onInvalid: "skip" }).length),
          ],
        };
      },
    },
  ];
}

/** What an application would check by hand. */
function checked(line) {
  const event = JSON.parse(line);
  for (const name of ["specversion", "id", "source", "type"])
    if (typeof event[name] !== "string" || event[name] === "") throw new TypeError(name);
  if (event.specversion !== "1.0") throw new TypeError("specversion");
  if (event.time !== undefined && !TIME.test(event.time)) throw new TypeError("time");
  return event;
}

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/i;

/** Faults that all three find. npm `cloudevents` takes events without an id, with an empty type or with another version. */
const FAULTS = [
  (text) => text.slice(0, -1),
  (text) => text.replace('"id":', '"id"'),
  (text) => text.replace(",", ",,"),
  (text) => `${text}}`,
];

function body(seed) {
  return plainEvents(LINES, 100, seed)
    .map((event, at) => {
      const text = JSON.stringify(event);
      return `${at % 10 === 7 ? FAULTS[Math.floor(at / 10) % FAULTS.length](text) : text}\n`;
    })
    .join("");
}
