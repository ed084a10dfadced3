// A publisher with a store that several processes share, in Node or Deno:
// `processes-publisher.mjs <url> <store> <name> <count>`. `store` is the URL of the store, in Deno the path of a Deno KV.
// Publishes events in several partitions and drains. It prints `+` and the ids of accepted events, and at the end `=` and
// its result.
import { writeSync } from "node:fs";
import process from "node:process";
import { CloudEvent, denoKvStore, Publisher } from "../../dist/entries/index.js";

const [, , url, place, name, count] = process.argv;
const print = (line) => writeSync(1, `${line}\n`);
process.on("unhandledRejection", (error) => print(`!${error?.stack ?? error}`));

const PARTITIONS = 7;
const PER_FLUSH = 10;
const MAX_WAIT_MS = 20;
const DEADLINE_MS = 60_000;

const store = globalThis.Deno
  ? denoKvStore(await Deno.openKv(place))
  : (await import("./store-server.mjs")).remoteStore(place);
const publisher = new Publisher({
  url: `${url}collect`,
  headers: { "x-from": name },
  timeoutMs: 5000,
  outbox: { store, identity: "all", retry: { baseMs: 50, maxMs: 500 } },
});
const { outbox } = publisher;
const problems = [];
outbox.addEventListener("degraded", ({ detail }) => problems.push(detail.error.message));
print("ready");

const delivered = [];
const session = publisher.session();
for (let number = 0; number < count; ) {
  const receipts = [];
  for (; receipts.length < PER_FLUSH && number < count; number++) {
    const partitionkey = `${name}-${number % PARTITIONS}`;
    const id = `${partitionkey}.${Math.floor(number / PARTITIONS)}`;
    receipts.push(session.publish(new CloudEvent({ id, type: "t", source: "/processes", partitionkey })));
  }
  await session.flush();
  print(`+${receipts.map(({ id }) => id)}`);
  delivered.push(...receipts.map((receipt) => receipt.delivered));
  await new Promise((resolve) => setTimeout(resolve, Math.random() * MAX_WAIT_MS));
}
const started = Date.now();
const { aborted } = await outbox.drain({ deadlineMs: DEADLINE_MS });
const drainMs = Date.now() - started;
// What is drained has settled, or does so in the same moment.
const open = new Set(delivered);
for (const one of delivered)
  void one.then(
    () => open.delete(one),
    () => undefined,
  );
await new Promise((resolve) => setTimeout(resolve, 2000));
const { pending, dead } = outbox.stats();
print(`=${JSON.stringify({ aborted, drainMs, open: open.size, pending, dead, problems })}`);
await outbox.close();
process.exit(0);
