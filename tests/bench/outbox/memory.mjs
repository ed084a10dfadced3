// What events that wait take in memory, in a process of its own that was started with --expose-gc.
import { setImmediate } from "node:timers/promises";
import { CloudEvent, open } from "./clients/eventferry.mjs";
import { TURN, eventOf } from "./events.mjs";

const { keeper: name, events } = JSON.parse(process.argv[2]);
const KEEPERS = {
  strings() {
    const texts = [];
    return { publish: (at) => texts.push(inOnePiece(JSON.stringify(new CloudEvent(eventOf(at))))), texts };
  },
  eventferry() {
    const client = open({ url: "http://127.0.0.1:9/" });
    client.pause();
    return client;
  },
};
let keeper;
try {
  keeper = KEEPERS[name]();
} catch (error) {
  console.log(JSON.stringify({ problem: error.message }));
  process.exit();
}

// The first one loads the engine.
keeper.publish(0);
await keeper.turn?.();
const before = await settled();
for (let at = 1; at <= events; at++) {
  keeper.publish(at);
  if (at % TURN !== 0) continue;
  await keeper.turn?.();
  await setImmediate();
}
await keeper.turn?.();
const peak = process.resourceUsage().maxRSS / 1024;
const after = await settled();
console.log(JSON.stringify({ kept: after.kept - before.kept, peak: peak - before.resident }));
// So that nothing of it is garbage before it was weighed.
globalThis.keeper = keeper;
process.exit();

/** Some versions of V8 leave the result of `JSON.stringify` in pieces, which take a third more. */
function inOnePiece(text) {
  Number(text);
  return text;
}

/** MiB in use when all garbage is gone. `external` has array buffers and the memory of WebAssembly in it. */
async function settled() {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc();
    await setImmediate();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { kept: (heapUsed + external) / 2 ** 20, resident: rss / 2 ** 20 };
}
