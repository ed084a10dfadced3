// What `session.publish` takes, beside the `JSON.stringify` that somebody would call who keeps texts. All in one
// process and in turns; the events are made beforehand, anew for each turn, because an event may keep what it
// has worked out. The last line of the output is the result, as JSON.
import { plainEvents } from "../inputs.mjs";
import { consumed, measure } from "../measure.mjs";
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
const makeEvents = (from, to) => (events = inits.slice(from, to).map((init) => new CloudEvent(init)));

/** @param take gives something true for every event it took */
const contender = (name, prepare, take) => ({
  name,
  prepare,
  show: () => Boolean(take(events[0])),
  run: () => events.reduce((sum, event) => sum + (take(event) ? 1 : 0), 0),
});
const table = measure(
  {
    title: "publish",
    inputs: EVENTS,
    contenders: [
      contender("JSON.stringify(event)", makeEvents, (event) => JSON.stringify(event)),
      contender(
        "JSON.stringify(init)",
        (from, to) => (events = inits.slice(from, to)),
        (init) => JSON.stringify(init),
      ),
      contender(
        "session.publish(event)",
        (from, to) => {
          session.rollback();
          makeEvents(from, to);
        },
        (event) => session.publish(event),
      ),
    ],
  },
  quick ? BUDGETS.quick : BUDGETS.full,
);
if (!Number.isFinite(consumed())) throw new Error("nothing was consumed");
session.rollback();
await client.close();
console.log(JSON.stringify(table));
