// Measures the memory of waiting events, in a process of its own that was started with --expose-gc.
import { setImmediate } from "node:timers/promises";
import { CloudEvent, open } from "./clients/eventferry.mjs";
import { eventOf, TURN } from "./events.mjs";

const { container: name, events } = JSON.parse(process.argv[2]);
const CONTAINERS = {
  strings() {
    const texts = [];
    return { publish: (at) => texts.push(flatten(JSON.stringify(new CloudEvent(eventOf(at))))), texts };
  },
  eventferry() {
    const client = open({ url: "http://127.0.0.1:9/" });
    client.pause();
    return client;
  },
};
let container;
try {
  container = CONTAINERS[name]();
} catch (error) {
  console.log(JSON.stringify({ problem: error.message }));
  process.exit();
}

// The first event loads the engine.
container.publish(0);
await container.endTurn?.();
const before = await memoryInUse();
for (let at = 1; at <= events; at++) {
  container.publish(at);
  if (at % TURN !== 0) continue;
  await container.endTurn?.();
  await setImmediate();
}
await container.endTurn?.();
const peak = process.resourceUsage().maxRSS / 1024;
const after = await memoryInUse();
console.log(JSON.stringify({ kept: after.kept - before.kept, peak: peak - before.resident }));
// A reference, so that nothing is garbage before the measurement.
globalThis.container = container;
process.exit();

/** Flattens a string: some versions of V8 return a concatenated one from `JSON.stringify`, which takes a third more. */
function flatten(text) {
  Number(text);
  return text;
}

/** MiB in use after garbage collection. `external` includes array buffers and the memory of WebAssembly. */
async function memoryInUse() {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc();
    await setImmediate();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { kept: (heapUsed + external) / 2 ** 20, resident: rss / 2 ** 20 };
}
