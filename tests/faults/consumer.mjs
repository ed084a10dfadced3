// A process that consumes with a file as its store and says what it does, until somebody kills it or there is nothing left.
import { setTimeout as pause } from "node:timers/promises";
import { fileStore, PipelineDataSink } from "../../dist/entries/glassflow.js";

const sink = new PipelineDataSink({ baseUrl: process.env.BASE_URL });
const say = (line) => new Promise((resolve) => process.stdout.write(`${line}\n`, resolve));
const silence = new AbortController();
let timer;
const wait = () => {
  clearTimeout(timer);
  timer = setTimeout(() => silence.abort(), 1000);
};

wait();
for await (const event of sink.events({ store: fileStore(process.argv[2]), signal: silence.signal })) {
  await say(`got ${event.payload.n}`);
  await pause(2);
  // Said before: what is not said to be done is not acknowledged.
  await say(`done ${event.payload.n}`);
  await event.ack();
  wait();
}
await sink.close();
await say("end");
