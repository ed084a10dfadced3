// Compares `session.publish` with the `JSON.stringify` of a program that stores texts, in one process and interleaved. New
// events are created before each measurement, because an event may cache results. The last line of the output is the
// result as JSON.
import { plainEvents } from "../inputs.mjs";
import { measure, totalChecksum } from "../measure.mjs";
import { CloudEvent, open } from "./clients/eventferry.mjs";

const EVENTS = 10_000;
const BUDGETS = {
  full: { rounds: 31, warmup: 600, slice: 20 },
  quick: { rounds: 5, warmup: 100, slice: 20 },
};

const { quick } = JSON.parse(process.argv[2]);
let client;
try {
  client = open({ url: "http://127.0.0.1:9/" });
} catch (error) {
  console.log(JSON.stringify({ problem: error.message }));
  process.exit();
}
const { session } = client;
const inits = plainEvents(EVENTS, 60);
let events;
const createEvents = (from, to) => {
  events = inits.slice(from, to).map((init) => new CloudEvent(init));
};

/** @param publish returns a truthy value for every event */
const contender = (name, prepare, publish) => ({
  name,
  prepare,
  show: () => Boolean(publish(events[0])),
  run: () => events.reduce((sum, event) => sum + (publish(event) ? 1 : 0), 0),
});
const table = await measure(
  {
    title: "publish",
    inputs: EVENTS,
    contenders: [
      contender("JSON.stringify(event)", createEvents, (event) => JSON.stringify(event)),
      contender(
        "JSON.stringify(init)",
        (from, to) => {
          events = inits.slice(from, to);
        },
        (init) => JSON.stringify(init),
      ),
      contender(
        "session.publish(event)",
        (from, to) => {
          session.rollback();
          createEvents(from, to);
        },
        (event) => session.publish(event),
      ),
    ],
  },
  quick ? BUDGETS.quick : BUDGETS.full,
);
if (!Number.isFinite(totalChecksum())) throw new Error("the checksum is not a number");
session.rollback();
await client.close();
console.log(JSON.stringify(table));
