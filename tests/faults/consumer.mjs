// A process that consumes with a file store and prints each step, until it is killed or the pipeline is empty.
import { setTimeout as sleep } from "node:timers/promises";
import { PipelineDataSink, fileStore } from "../../dist/entries/glassflow.js";

const sink = new PipelineDataSink({ baseUrl: process.env.BASE_URL });
const print = (line) => new Promise((resolve) => process.stdout.write(`${line}\n`, resolve));
const idle = new AbortController();
let idleTimer;
const restartIdleTimer = () => {
  clearTimeout(idleTimer);
  idleTimer = setTimeout(() => idle.abort(), 1000);
};

restartIdleTimer();
for await (const event of sink.events({ store: fileStore(process.argv[2]), signal: idle.signal })) {
  await print(`got ${event.payload.n}`);
  await sleep(2);
  // Printed before the ack: the test knows of every acknowledged event.
  await print(`done ${event.payload.n}`);
  await event.ack();
  restartIdleTimer();
}
await sink.close();
await print("end");
