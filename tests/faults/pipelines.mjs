// GlassFlow pipelines on a bad day: a hundred thousand events through publishAll and iteration with faults on both sides, and a consumer that is killed.
//
// Which faults are honest: those that strike before the service has done anything. Publishing has no key that would tell a repetition from a new event, and
// consuming takes the event away with the answer: when an answer is lost after the service has done its work, a repeated publish comes twice and a consumed event is
// gone, and no client can help that. What a client can do is to lose and repeat nothing of its own accord, and that is what is held here.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PipelineDataSink, PipelineDataSource } from "../../dist/entries/glassflow.js";
import { createEmulator } from "../../dist/entries/testing.js";
import { ENGINES } from "../browser.mjs";
import { end, start } from "../child.mjs";
import { ensure as hold } from "./collector.mjs";
import { visit, withBrowser } from "./pages.mjs";

const EVENTS = 100_000;
const KILLS = 6;
const KILLED_EVENTS = 400;
const TROUBLES = [
  { status: 503 },
  { status: 429, headers: { "retry-after": "0" } },
  { reset: true },
  { status: 502, body: "<html/>" },
];

export async function pipelines(tally) {
  await tally.check(`${EVENTS} events through publishAll and iteration with faults on both sides`, hundredThousand);
  await tally.check(`a consumer with a file as its store, ${KILLS} kills`, killed);
  await Promise.all(
    ENGINES.map((engine) =>
      tally.check(`${engine}, a page that consumes into IndexedDB and is killed, and two that take turns`, () =>
        page(engine),
      ),
    ),
  );
}

async function hundredThousand() {
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
    TROUBLES.map((trouble, at) =>
      emulator.faults.add({
        match: `/glassflow/v1/pipelines/${pipeline.id}/topics/${topic}/`,
        probability: 0.003,
        seed: side * 10 + at + 1,
        ...trouble,
      }),
    ),
  );
  let made = 0;
  function* events() {
    while (made < EVENTS) yield { n: made++ };
  }
  const started = performance.now();
  const publishing = source.publishAll(events());
  let next = 0;
  let retries = 0;
  for await (const { response } of sink.events({ onRetry: () => retries++ })) {
    // In order, so none is missing and none comes twice.
    hold(response.n === next, `event ${response.n} came where ${next} was due`);
    if (++next === EVENTS) break;
  }
  const { published, failed } = await publishing;
  hold(
    published === EVENTS && failed.length === 0,
    `${published} were published, ${failed.length} failed: ${failed[0]?.error}`,
  );
  hold((await sink.consume()).status === 204, "there is more than was published");
  const hits = faults.map((fault) => fault.hits);
  hold(
    hits.every((count) => count > 100),
    `not every fault struck: ${hits}`,
  );
  const struck = hits.slice(TROUBLES.length).reduce((sum, count) => sum + count, 0);
  hold(retries === struck, `${retries} retries were told of, and ${struck} faults struck the sink`);
  return `${hits.reduce((sum, count) => sum + count, 0)} faults, ${Math.round((performance.now() - started) / 1000)} s`;
}

/** Of what is handed out nothing is lost. An answer that is on its way when the process dies is not handed out: such an event may be gone, one for each kill. */
async function killed() {
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
  const handed = new Map();
  const done = new Set();
  let again = 0;
  try {
    for (let life = 0; life <= KILLS; life++) {
      const inHand = [...handed.keys()].filter((n) => !done.has(n));
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
      const first = [];
      await new Promise((resolve, reject) => {
        let rest = "";
        consumer.stderr.on("data", (chunk) => reject(new Error(String(chunk))));
        consumer.stdout.on("data", (chunk) => {
          const lines = (rest + chunk).split("\n");
          rest = lines.pop();
          for (const line of lines) {
            const [word, n] = line.split(" ");
            if (word === "end") return resolve();
            if (word === "done") done.add(Number(n));
            if (word !== "got") continue;
            first.push(Number(n));
            handed.set(Number(n), (handed.get(Number(n)) ?? 0) + 1);
          }
          // Not at the same place each time.
          if (life < KILLS && first.length >= 20 + life * 7) setTimeout(resolve, life * 3);
        });
        consumer.once("exit", () => resolve());
      });
      end(consumer);
      await new Promise((resolve) =>
        consumer.exitCode !== null || consumer.signalCode !== null ? resolve() : consumer.once("exit", resolve),
      );
      again += inHand.filter((n) => first.includes(n)).length;
      // One more may come before it: done, and not acknowledged.
      const forgotten = inHand.filter((n) => !first.slice(0, inHand.length + 1).includes(n));
      hold(forgotten.length === 0, `${forgotten} had been handed out before the kill, and did not come first after it`);
    }
  } finally {
    await emulator.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const lost = KILLED_EVENTS - done.size;
  hold(lost <= KILLS, `${lost} events are missing after ${KILLS} kills`);
  hold(again > 0, "no kill struck an event in hand");
  return `${done.size} of ${KILLED_EVENTS} events done, ${again} of them handed out again, ${lost} died with an answer on its way`;
}

/** What the page can do. It is put in as a script, because in Firefox what the test evaluates has a world of its own. */
const SCRIPT = `
  import { PipelineDataSink, indexedDbStore } from "/dist/entries/glassflow.js";
  const iterations = {};
  /** Takes so many events with a sink of its own, and acknowledges some. The iteration stays open. */
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

async function opened(browser, collector) {
  await visit(browser, collector);
  await browser.evaluate(
    `
    document.head.append(Object.assign(document.createElement("script"), { type: "module", textContent: arguments[0] }));
    for (let tries = 0; !globalThis.canTake; tries++) { if (tries > 500) throw new Error("the script did not start"); await new Promise((next) => setTimeout(next, 20)); }`,
    SCRIPT,
  );
}

/** The emulator is of another origin, so the page has to ask first. */
async function page(engine) {
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
      const take = (browser, ...asked) => browser.evaluate("return await take(arguments[0]);", JSON.stringify(asked));
      const first = await open();
      await opened(first, collector);
      const before = await take(first, "one", options, 5, [0, 3]);
      hold(before === "0,1,2,3,4", `it has seen ${before}`);
      first.kill();
      const browser = await open();
      await opened(browser, collector);
      const after = await take(browser, "one", options, 4, [1, 2, 4]);
      hold(after === "1,2,4,5", `after the kill it has seen ${after}`);
      // Another one waits for the first to end, and has what that leaves behind.
      await browser.evaluate("begin(arguments[0]);", JSON.stringify(["two", options, 2, [5, 6]]));
      const early = await browser.evaluate(
        "await new Promise((next) => setTimeout(next, 300)); return globalThis.seen;",
      );
      hold(early === after, `two have handed out at the same time: ${early}`);
      const late = await browser.evaluate("await end('one'); return await other;");
      hold(late === "5,6", `the other one has seen ${late}`);
      return browser.name;
    });
  } finally {
    await emulator.close();
  }
}
