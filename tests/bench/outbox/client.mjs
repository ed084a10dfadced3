// Runs one client in a process of its own: publishes events and waits until all are delivered. The last line of the
// output is the result as JSON.
import { setImmediate, setTimeout } from "node:timers/promises";
import { TURN } from "./events.mjs";

const { module, events, warmup, ...options } = JSON.parse(process.argv[2]);
const { open } = await import(`./clients/${module}.mjs`);
let client;
try {
  client = open({ ...options, total: warmup + events });
} catch (error) {
  console.log(JSON.stringify({ problem: error.message }));
  process.exit();
}

await deliver(0, warmup);
// Compilation in the background belongs to the warm-up.
await setTimeout(100);
const cpuBefore = process.cpuUsage();
const start = performance.now();
await deliver(warmup, warmup + events);
const wall = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
const peak = process.resourceUsage().maxRSS / 1024;
await client.close?.();
console.log(JSON.stringify({ cpu: (user + system) / 1e6, wall, peak }));

async function deliver(from, to) {
  for (let at = from; at < to; at++) {
    client.publish(at);
    if ((at + 1) % TURN !== 0) continue;
    await client.endTurn?.();
    await setImmediate();
  }
  await client.finish();
}
