// Short page views, shorter than the collector takes to answer: what one page has sent, the next ones do not send again while
// the answer may still come.
import { ENGINES } from "../browser.mjs";
import { ensure, ensureNothingLost, sleep } from "./collector.mjs";
import { drained, visit, withBrowser } from "./pages.mjs";

const VIEWS = 10;
const VIEW_MS = 1000;
const ANSWER_MS = 1500;
const EVENTS = 20;
const MAX_COPIES = 2 * EVENTS;

export async function pageViews(tally) {
  for (const engine of ENGINES)
    for (const perView of [EVENTS, EVENTS / VIEWS])
      await tally.check(
        `${engine}: ${VIEWS} short page views with ${perView} events each until there are ${EVENTS}`,
        () => withBrowser(engine, ({ collector, open }) => viewPages(collector, open, perView)),
      );
}

async function viewPages(collector, open, perView) {
  const browser = await open();
  collector.behave = () => ({ delayMs: ANSWER_MS });
  const ids = [];
  for (let view = 0; view < VIEWS; view++) {
    const start = performance.now();
    await visit(browser, collector);
    if (ids.length < EVENTS)
      ids.push(
        ...(await browser.evaluate(
          "const ids = publish(...arguments); await held.flush(); return ids;",
          `view.${view}`,
          perView,
          20,
        )),
      );
    await sleep(start + VIEW_MS - performance.now());
  }
  await visit(browser, collector);
  const { aborted, problems } = await drained(browser, 30_000);
  ensure(!aborted && problems.length === 0, aborted ? "not everything was delivered" : problems[0]);
  ensureNothingLost(collector, ids);
  const copies = ids.length + collector.duplicates;
  ensure(copies <= MAX_COPIES, `${ids.length} events arrived as ${copies}`);
  return `${ids.length} events arrived as ${copies}`;
}
