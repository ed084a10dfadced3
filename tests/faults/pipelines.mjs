// GlassFlow pipelines with faults: a hundred thousand events through publishAll and an iteration with faults on both
// sides, and a consumer that is killed.
//
// All faults occur before the service has done anything. A published event has no key that would identify a repetition,
// and the server deletes an event when it returns it. If a response is lost after that, a repeated publish makes a
// second event, and a consumed event is lost; no client can prevent it. These tests check that the client itself loses
// and repeats nothing.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PipelineDataSink, PipelineDataSource } from "../../dist/entries/glassflow.js";
import { createEmulator } from "../../dist/entries/testing.js";
import { ENGINES } from "../browser.mjs";
import { end, start } from "../child.mjs";
import { ensure } from "./collector.mjs";
import { visit, withBrowser } from "./pages.mjs";

const EVENTS = 100_000;
const KILLS = 6;
const KILLED_EVENTS = 400;
const FAULTS = [
  { status: 503 },
  { status: 429, headers: { "retry-after": "0" } },
  { reset: true },
  { status: 502, body: "<html/>" },
];

export async function pipelines(tally) {
  await tally.check(
    `${EVENTS} events through publishAll and an iteration with faults on both sides`,
    publishAndConsume,
  );
  await tally.check(`a consumer with a file store survives ${KILLS} kills`, killConsumer);
  await Promise.all(
    ENGINES.map((engine) =>
      tally.check(`${engine}: a page that consumes into IndexedDB survives a kill, and two iterations take turns`, () =>
        consumeInPage(engine),
      ),
    ),
  );
}

async function publishAndConsume() {
  const emulator = createEmulator();
  const pipeline = emulator.glassflow.createPipeline();
  const options = {
    pipelineId: pipeline.id,
    pipelineAccessToken: pipeline.accessToken,
    baseUrl: "http://emulator/glassflow/v1",
    fetch: emulator.fetch,
  };
  const source = new PipelineDataSource({ ...options, retry: { attempts: 50, baseMs: 1, maxMs: 2 } });
  const sink = new PipelineDataSink({ ...options, backoff: { baseMs: 1, maxMs: 2 } });
  const faults = ["input", "output"].flatMap((topic, side) =>
    FAULTS.map((fault, at) =>
      emulator.faults.add({
        match: `/glassflow/v1/pipelines/${pipeline.id}/topics/${topic}/`,
        probability: 0.003,
        seed: side * 10 + at + 1,
        ...fault,
      }),
    ),
  );
  let count = 0;
  function* events() {
    while (count < EVENTS) yield { n: count++ };
  }
  const started = performance.now();
  const publishing = source.publishAll(events());
  let next = 0;
  let retries = 0;
  for await (const { response } of sink.events({ onRetry: () => retries++ })) {
    // In order: no event is missing, and none comes twice.
    ensure(response.n === next, `received event ${response.n}, expected ${next}`);
    if (++next === EVENTS) break;
  }
  const { published, failed } = await publishing;
  ensure(
    published === EVENTS && failed.length === 0,
    `${published} were published, ${failed.length} failed: ${failed[0]?.error}`,
  );
  ensure((await sink.consume()).status === 204, "the pipeline has more events than were published");
  const hits = faults.map((fault) => fault.hits);
  ensure(
    hits.every((count) => count > 100),
    `not every fault occurred often enough: ${hits}`,
  );
  const sinkFaults = hits.slice(FAULTS.length).reduce((sum, count) => sum + count, 0);
  ensure(retries === sinkFaults, `${retries} retries were reported for ${sinkFaults} faults of the sink`);
  return `${hits.reduce((sum, count) => sum + count, 0)} faults, ${Math.round((performance.now() - started) / 1000)} s`;
}

/**
 * No event that was handed out is lost. A response in flight at the moment of a kill was not handed out: its event is
 * lost, at most one for each kill.
 */
async function killConsumer() {
  const folder = mkdtempSync(join(tmpdir(), "eventferry-pipelines-"));
  const emulator = createEmulator();
  const { url } = await emulator.listen();
  const pipeline = emulator.glassflow.createPipeline();
  const source = new PipelineDataSource({
    pipelineId: pipeline.id,
    pipelineAccessToken: pipeline.accessToken,
    baseUrl: `${url}/glassflow/v1`,
  });
  await source.publishAll(
    Array.from({ length: KILLED_EVENTS }, (_, n) => ({ n })),
    { concurrency: 16 },
  );
  const handedOut = new Set();
  const done = new Set();
  let repeated = 0;
  try {
    for (let run = 0; run <= KILLS; run++) {
      const unacknowledged = [...handedOut].filter((n) => !done.has(n));
      const consumer = start(
        process.execPath,
        [fileURLToPath(new URL("consumer.mjs", import.meta.url)), join(folder, "store")],
        {
          env: {
            ...process.env,
            PIPELINE_ID: pipeline.id,
            PIPELINE_ACCESS_TOKEN: pipeline.accessToken,
            BASE_URL: `${url}/glassflow/v1`,
          },
        },
      );
      const received = [];
      await new Promise((resolve, reject) => {
        let remainder = "";
        consumer.stderr.on("data", (chunk) => reject(new Error(String(chunk))));
        consumer.stdout.on("data", (chunk) => {
          const lines = (remainder + chunk).split("\n");
          remainder = lines.pop();
          for (const line of lines) {
            const [word, n] = line.split(" ");
            if (word === "end") return resolve();
            if (word === "done") done.add(Number(n));
            if (word !== "got") continue;
            received.push(Number(n));
            handedOut.add(Number(n));
          }
          // Each kill comes at another point of the work.
          if (run < KILLS && received.length >= 20 + run * 7) setTimeout(resolve, run * 3);
        });
        consumer.once("exit", () => resolve());
      });
      end(consumer);
      await new Promise((resolve) =>
        consumer.exitCode !== null || consumer.signalCode !== null ? resolve() : consumer.once("exit", resolve),
      );
      repeated += unacknowledged.filter((n) => received.includes(n)).length;
      // One more may come first: an event that is done and was not acknowledged before the kill.
      const first = received.slice(0, unacknowledged.length + 1);
      const missing = unacknowledged.filter((n) => !first.includes(n));
      ensure(missing.length === 0, `${missing} were handed out before the kill and did not come first after it`);
    }
  } finally {
    await emulator.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const lost = KILLED_EVENTS - done.size;
  ensure(lost <= KILLS, `${lost} events are missing after ${KILLS} kills`);
  ensure(repeated > 0, "no kill happened while an event was unacknowledged");
  return `${done.size} of ${KILLED_EVENTS} events done, ${repeated} handed out again, ${lost} lost with a response in flight`;
}

/** The functions of the page. They are added as a script, because Firefox evaluates test code in a separate world. */
const SCRIPT = `
  import { PipelineDataSink, indexedDbStore } from "/dist/entries/glassflow.js";
  const iterations = {};
  /** Consumes events with a new sink, and acknowledges some of them. The iteration stays open. */
  globalThis.take = async (text) => {
    const [name, options, count, acknowledged] = JSON.parse(text);
    const sink = new PipelineDataSink({ ...options, backoff: { baseMs: 10, maxMs: 50 } });
    const iterator = (iterations[name] = sink.events({ store: indexedDbStore("pipelines-of-the-test") })[Symbol.asyncIterator]());
    const seen = [];
    while (seen.length < count) {
      const { value } = await iterator.next();
      seen.push(value.payload.n);
      if (acknowledged.includes(value.payload.n)) await value.ack();
    }
    return (globalThis.seen = seen.join());
  };
  globalThis.begin = (text) => void (globalThis.other = take(text));
  globalThis.end = (name) => iterations[name].return();
  globalThis.canTake = true;`;

async function openPage(browser, collector) {
  await visit(browser, collector);
  await browser.evaluate(
    `
    document.head.append(Object.assign(document.createElement("script"), { type: "module", textContent: arguments[0] }));
    for (let tries = 0; !globalThis.canTake; tries++) { if (tries > 500) throw new Error("the script did not start"); await new Promise((next) => setTimeout(next, 20)); }`,
    SCRIPT,
  );
}

/** The emulator has another origin than the page, so CORS applies. */
async function consumeInPage(engine) {
  const emulator = createEmulator();
  const { url } = await emulator.listen();
  const pipeline = emulator.glassflow.createPipeline();
  const options = {
    pipelineId: pipeline.id,
    pipelineAccessToken: pipeline.accessToken,
    baseUrl: `${url}/glassflow/v1`,
  };
  await new PipelineDataSource(options).publishAll(Array.from({ length: 10 }, (_, n) => ({ n })));
  try {
    return await withBrowser(engine, async ({ collector, open }) => {
      const take = (browser, ...args) => browser.evaluate("return await take(arguments[0]);", JSON.stringify(args));
      const first = await open();
      await openPage(first, collector);
      const before = await take(first, "one", options, 5, [0, 3]);
      ensure(before === "0,1,2,3,4", `received ${before}`);
      first.kill();
      const browser = await open();
      await openPage(browser, collector);
      const after = await take(browser, "one", options, 4, [1, 2, 4]);
      ensure(after === "1,2,4,5", `received ${after} after the kill`);
      // A second iteration waits for the end of the first, and then gets its unacknowledged events.
      await browser.evaluate("begin(arguments[0]);", JSON.stringify(["two", options, 2, [5, 6]]));
      const early = await browser.evaluate(
        "await new Promise((next) => setTimeout(next, 300)); return globalThis.seen;",
      );
      ensure(early === after, `two iterations have handed out events at the same time: ${early}`);
      const late = await browser.evaluate("await end('one'); return await other;");
      ensure(late === "5,6", `the second iteration has received ${late}`);
      return browser.name;
    });
  } finally {
    await emulator.close();
  }
}
