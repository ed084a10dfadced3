// The server is unavailable for twenty seconds: in four ways for Node, and unreachable for browsers.

import { CloudEvent, memoryStore, Publisher } from "../../dist/entries/index.js";
import { ENGINES } from "../browser.mjs";
import { collect, ensure, ensureNothingLost, sleep, until } from "./collector.mjs";
import { visit, withBrowser } from "./pages.mjs";

const EVENTS = 2000;
const OUTAGE_MS = 20_000;
/** The number of failures that the exponential backoff allows in that time. */
const MAX_FAILURES = 12;

const OUTAGES = {
  "answers 503": () => ({ status: 503 }),
  "resets connections": () => ({ reset: true }),
  "answers 429 with Retry-After": () => ({ status: 429, headers: { "retry-after": "7" } }),
  hangs: () => ({ hang: true }),
};

export async function outages(tally) {
  await Promise.all([
    ...Object.entries(OUTAGES).map(([name, behave]) =>
      tally.check(`everything is delivered once, with few requests, after the server ${name} for 20 s`, () =>
        outage(behave),
      ),
    ),
    ...ENGINES.map((engine) =>
      tally.check(
        `${engine}: everything is delivered after ${engine === "chrome" ? "the browser was offline" : "the port was closed"} for 20 s`,
        () => offline(engine),
      ),
    ),
  ]);
}

function offline(engine) {
  return withBrowser(engine, async ({ collector, open }) => {
    const browser = await open();
    await visit(browser, collector, { baseMs: 500 });
    const conditions = (isOffline) =>
      browser.devTools("Network.emulateNetworkConditions", {
        offline: isOffline,
        latency: 0,
        downloadThroughput: -1,
        uploadThroughput: -1,
      });
    if (engine === "chrome") await browser.devTools("Network.enable", {});
    await browser.evaluate("void outage();");
    await sleep(1000);
    await (engine === "chrome" ? conditions(true) : collector.stopListening());
    await sleep(OUTAGE_MS);
    await (engine === "chrome" ? conditions(false) : collector.listen());
    const { ids, left, failures, problems } = await browser.evaluate("return await outage();");
    ensure(problems.length === 0, problems[0]);
    ensureNothingLost(collector, ids);
    ensure(failures > 0 && failures <= MAX_FAILURES, `${failures} requests failed`);
    return `${failures} requests failed, ${left} events were still pending 20 s after the outage`;
  });
}

async function outage(behave) {
  const collector = await collect();
  const publisher = new Publisher({ url: `${collector.url}collect`, outbox: { store: memoryStore() } });
  const session = publisher.session();
  const ids = [];
  const started = Date.now();
  let failures = 0;
  publisher.outbox.addEventListener("retry", () => failures++);
  try {
    // 100 events per second, from one second before the outage until its end.
    while (ids.length < EVENTS) {
      const age = Date.now() - started;
      collector.behave = age < 1000 ? () => ({}) : behave;
      for (let count = Math.min(EVENTS, Math.floor(age / 10)); ids.length < count; ) {
        ids.push(session.publish(new CloudEvent({ type: "t", source: "/outage", data: { number: ids.length } })).id);
      }
      await session.flush();
      await sleep(50);
    }
    await sleep(started + 1000 + OUTAGE_MS - Date.now());
    collector.behave = () => ({});
    const end = Date.now();
    // The longest delay between retries is 30 s.
    await until(() => publisher.outbox.stats().pending === 0, 31_000);
    ensureNothingLost(collector, ids);
    ensure(failures <= MAX_FAILURES && failures > 0, `${failures} requests failed`);
    ensure(collector.duplicates === 0, `${collector.duplicates} duplicates`);
    return `${failures} requests failed, everything was delivered ${((Date.now() - end) / 1000).toFixed(1)} s after the outage`;
  } finally {
    await publisher.outbox.close();
    await collector.close();
  }
}
