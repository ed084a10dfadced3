// Browsers are killed while a page publishes into IndexedDB: every accepted event is delivered.
import { ENGINES } from "../browser.mjs";
import { countRepeated, ensure, ensureNothingLost, sleep } from "./collector.mjs";
import { drained, visit, withBrowser } from "./pages.mjs";

const KILLS = 6;

export async function browserKills(tally) {
  await Promise.all(
    ENGINES.map((engine) =>
      tally.check(`${engine}: no accepted event is lost in ${KILLS} kills`, () => killRepeatedly(engine)),
    ),
  );
}

function killRepeatedly(engine) {
  return withBrowser(engine, async ({ collector, open }) => {
    for (let kill = 0; kill < KILLS; kill++) {
      const delayMs = kill % 2 ? 400 : 0;
      collector.behave = () => ({ delayMs });
      const browser = await open();
      await visit(browser, collector);
      await browser.evaluate("void stream(arguments[0]);", `${kill}`);
      await sleep(Math.random() * 800 + delayMs);
      browser.kill();
      // Requests in flight still arrive.
      await sleep(100);
    }
    collector.behave = () => ({});
    const browser = await open();
    await visit(browser, collector);
    const { aborted, problems } = await drained(browser);
    ensure(
      !aborted && problems.length === 0,
      `after the last kill: ${aborted ? "not everything was delivered" : problems[0]}`,
    );
    const accepted = collector.notes.flatMap((line) => line.split(","));
    ensureNothingLost(collector, accepted);
    ensure(accepted.length > 100, `only ${accepted.length} were accepted`);
    const repeatedRequests = countRepeated(collector.requests);
    ensure(repeatedRequests <= KILLS, `${repeatedRequests} requests were repeated after ${KILLS} kills`);
    return `${browser.name}: ${accepted.length} accepted, ${collector.seen.size} delivered, ${collector.duplicates} duplicates from ${repeatedRequests} repeated requests`;
  });
}
