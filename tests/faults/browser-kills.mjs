// Browsers are killed in the middle of things, with IndexedDB.
import { ENGINES } from "../browser.mjs";
import { hold, nothingLost, pause, repeated } from "./collector.mjs";
import { drained, visit, withBrowser } from "./pages.mjs";

const KILLS = 6;

export async function crashes(tally) {
  await Promise.all(ENGINES.map((engine) => tally.check(`${engine}, ${KILLS} kills`, () => killed(engine))));
}

function killed(engine) {
  return withBrowser(engine, async ({ collector, open }) => {
    const lasts = [];
    for (let kill = 0; kill < KILLS; kill++) {
      const delayMs = kill % 2 ? 400 : 0;
      collector.behave = () => ({ delayMs });
      const browser = await open();
      await visit(browser, collector);
      await browser.evaluate("void stream(arguments[0]);", `${kill}`);
      await pause(Math.random() * 800 + delayMs);
      browser.kill();
      // What was on its way arrives.
      await pause(100);
      lasts.push(collector.requests.length);
    }
    collector.behave = () => ({});
    const browser = await open();
    await visit(browser, collector);
    const { aborted, problems } = await drained(browser);
    hold(!aborted && problems.length === 0, `the last life: ${aborted ? "not everything was delivered" : problems[0]}`);
    const promised = collector.noted.flatMap((line) => line.split(","));
    nothingLost(collector, promised);
    hold(promised.length > 100, `only ${promised.length} were promised`);
    const again = repeated(collector.requests);
    hold(again <= KILLS, `${again} requests were repeated after ${KILLS} kills`);
    return `${browser.name}: ${promised.length} promised, ${collector.seen.size} delivered, ${collector.duplicates} twice, of ${again} requests`;
  });
}
