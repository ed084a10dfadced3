// The server is away for twenty seconds: in four ways for Node, and out of reach for browsers.
import { ENGINES } from "../browser.mjs";
import { CloudEvent, Publisher, memoryStore } from "../../dist/entries/index.js";
import { collect, hold, nothingLost, pause, until } from "./collector.mjs";
import { visit, withBrowser } from "./pages.mjs";

const EVENTS = 2000;
const AWAY_MS = 20_000;
/** What the back-off allows: rests that double, and long ones from the eighth failure on. */
const MOST_FAILURES = 12;

const WAYS = {
  "answers 503": () => ({ status: 503 }),
  "resets connections": () => ({ reset: true }),
  "answers 429 with Retry-After": () => ({ status: 429, headers: { "retry-after": "7" } }),
  hangs: () => ({ hang: true }),
};

export async function outages(tally) {
  await Promise.all([
    ...Object.entries(WAYS).map(([name, behave]) => tally.check(`the server ${name} for 20 s`, () => outage(behave))),
    ...ENGINES.map((engine) =>
      tally.check(`${engine}, ${engine === "chrome" ? "offline" : "the port is closed"} for 20 s`, () =>
        offline(engine),
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
    await pause(1000);
    await (engine === "chrome" ? conditions(true) : collector.hide());
    await pause(AWAY_MS);
    await (engine === "chrome" ? conditions(false) : collector.listen());
    const { ids, left, failures, problems } = await browser.evaluate("return await outage();");
    hold(problems.length === 0, problems[0]);
    nothingLost(collector, ids);
    hold(failures > 0 && failures <= MOST_FAILURES, `${failures} requests failed`);
    return `${failures} requests failed, ${left} events had to be asked for 20 s after it was back`;
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
    // At 100 each second, from a second before until the end of the outage.
    while (ids.length < EVENTS) {
      const age = Date.now() - started;
      collector.behave = age < 1000 ? () => ({}) : behave;
      for (let count = Math.min(EVENTS, Math.floor(age / 10)); ids.length < count; ) {
        ids.push(session.publish(new CloudEvent({ type: "t", source: "/outage", data: { number: ids.length } })).id);
      }
      await session.flush();
      await pause(50);
    }
    await pause(started + 1000 + AWAY_MS - Date.now());
    collector.behave = () => ({});
    const back = Date.now();
    // As long as a rest may be.
    await until(() => publisher.outbox.stats().pending === 0, 31_000);
    nothingLost(collector, ids);
    hold(failures <= MOST_FAILURES && failures > 0, `${failures} requests failed`);
    hold(collector.duplicates === 0, `${collector.duplicates} came twice`);
    return `${failures} requests failed, everything was there ${((Date.now() - back) / 1000).toFixed(1)} s after it was back`;
  } finally {
    await publisher.outbox.close();
    await collector.close();
  }
}
