// Every way in which a page ends or is left: what it has published arrives by the next visit, whether the server answers
// meanwhile or not, and a page that comes back from the back/forward cache knows it. It arrives without a visit if another
// tab is open. And pages that are left at random moments: the next page in the same tab can use the outbox.
import { ENGINES } from "../browser.mjs";
import { ensure, ensureNothingLost, sleep, until } from "./collector.mjs";
import { drained, handlersOf, THROUGH, visit, withBrowser } from "./pages.mjs";

const EVENTS = 100;
/** All events together are more than keepalive requests take. */
const BYTES = 2000;
/** How many pages are left at random moments. Only WebKit was ever seen to block the next one. */
const ROUNDS = { chrome: 20, firefox: 20, webkit: 200 };
const SHORT_ROUNDS = { chrome: 3, firefox: 3, webkit: 15 };
/** How long the next page may need on a busy machine. A blocked one never answers. */
const ANSWER_MS = 10_000;

const EMPTY = "/tests/faults/empty.html";
const EXITS = {
  "a link": `
    const link = document.createElement("a");
    link.href = "${EMPTY}";
    document.body.append(link);
    setTimeout(() => link.click());`,
  location: `setTimeout(() => { location.href = "${EMPTY}"; });`,
  "another origin": `setTimeout(() => { location.href = "http://localhost:" + location.port + "${EMPTY}"; });`,
  "a closed tab": undefined,
};

/** Exits after which the page has no process any more. */
const MAY_BE_CUT_SHORT = ["another origin", "a closed tab"];

/**
 * On busy processors Firefox may end the process of a page before its handlers have run, 2 of 12 pages that were left for
 * another origin at a load of 40, or terminate their script in the middle. What the page had not flushed by then is only
 * reported. Returns the report, or undefined if the handlers were through: then all events have to arrive.
 */
function cutShort(collector, engine, name) {
  const handlers = handlersOf(collector, name);
  return engine !== "firefox" || handlers === THROUGH ? undefined : `cut short: ${handlers}`;
}

const CASES = Object.keys(EXITS).flatMap((exit) =>
  ["resend", "hold"].flatMap((unload) =>
    [false, true].flatMap((isAway) =>
      (exit === "a closed tab" ? [false] : [false, true]).map((isBack) => ({ exit, unload, isAway, isBack })),
    ),
  ),
);
const SHORT_CASES = [
  { exit: "location", unload: "resend", isAway: true, isBack: false },
  { exit: "a closed tab", unload: "hold", isAway: false, isBack: false },
  { exit: "a link", unload: "hold", isAway: false, isBack: true },
  { exit: "another origin", unload: "resend", isAway: false, isBack: true },
];

/** A part of the cases and rounds, for each commit. */
export const pageEndingsShort = (tally) => run(tally, SHORT_CASES, SHORT_ROUNDS);
export const pageEndings = (tally) => run(tally, CASES);
export const randomExits = (tally) => run(tally, [], ROUNDS);

async function run(tally, cases, rounds = {}) {
  await Promise.all(
    ENGINES.map((engine) =>
      tally.check(`${engine} starts`, () =>
        withBrowser(engine, async ({ collector, open }) => {
          const browser = await open();
          for (const one of cases)
            await tally.check(`${engine}: ${title(one)}`, () => endPage(browser, collector, engine, one));
          for (const unload of ["resend", "hold"])
            await tally.check(`${engine}: a tab that is closed beside another one, ${unload}`, () =>
              closeBesideAnother(browser, collector, engine, unload),
            );
          if (!rounds[engine]) return;
          await tally.check(`${engine}: ${rounds[engine]} pages left at random moments block no next page`, () =>
            leaveAtRandom(browser, collector, rounds[engine]),
          );
        }),
      ),
    ),
  );
}

const title = ({ exit, unload, isAway, isBack }) =>
  `a page left by ${exit}, ${unload}, server ${isAway ? "away" : "there"}${isBack ? ", and back" : ""}`;

async function endPage(browser, collector, engine, { exit, unload, isAway, isBack }) {
  const first = await browser.currentTab();
  const { duplicates } = collector;
  await browser.newTab();
  try {
    collector.behave = () => (isAway ? { reset: true } : {});
    const name = `${engine}-${exit}-${unload}-${isAway}-${isBack}`;
    await visit(browser, collector, { unload, ending: name });
    const ids = await browser.evaluate("return publishWithReceipts(...arguments);", name, EVENTS, BYTES);
    if (EXITS[exit]) await browser.evaluate(EXITS[exit]).catch(() => undefined);
    else await browser.closeTab();
    await sleep(500);
    collector.behave = () => ({});
    let remark = "";
    if (isBack) remark = await goBack(browser);
    else await nextVisit(browser, collector, unload, EXITS[exit] ? undefined : first);
    const { aborted, problems } = await drained(browser);
    ensure(!aborted && problems.length === 0, aborted ? "not everything was delivered" : problems[0]);
    const report = MAY_BE_CUT_SHORT.includes(exit) ? cutShort(collector, engine, name) : undefined;
    if (report && collector.missing(ids).length === EVENTS) return report;
    ensureNothingLost(collector, ids);
    if (remark === PERSISTED) await checkReceipts(browser);
    return `${remark}${collector.duplicates - duplicates} duplicates`;
  } finally {
    if ((await browser.currentTab().catch(() => first)) !== first) await browser.closeTab();
    await browser.switchTo(first);
  }
}

/** No page is visited after it: the other tab delivers what the closed one has left. */
async function closeBesideAnother(browser, collector, engine, unload) {
  const first = await browser.currentTab();
  const { duplicates } = collector;
  const name = `${engine}-beside-${unload}`;
  collector.behave = () => ({});
  await visit(browser, collector, { unload });
  await browser.newTab();
  try {
    await visit(browser, collector, { unload, ending: name });
    const ids = await browser.evaluate("return publishWithReceipts(...arguments);", name, EVENTS, BYTES);
    await browser.closeTab();
    await browser.switchTo(first);
    const isComplete = await until(() => collector.missing(ids).length === 0, ANSWER_MS);
    const report = cutShort(collector, engine, name);
    if (report && collector.missing(ids).length === EVENTS) return report;
    ensure(isComplete, `${collector.missing(ids).length} of ${EVENTS} events did not arrive`);
    const { aborted, problems } = await drained(browser);
    ensure(!aborted && problems.length === 0, aborted ? "not everything was delivered" : problems[0]);
    return `${collector.duplicates - duplicates} duplicates`;
  } finally {
    if ((await browser.currentTab().catch(() => first)) !== first) await browser.closeTab();
    await browser.switchTo(first);
  }
}

async function nextVisit(browser, collector, unload, first) {
  if (first) {
    await browser.switchTo(first);
    await browser.newTab();
  }
  await visit(browser, collector, { unload });
}

const PERSISTED = "from the cache, ";

/** Returns whether the page was in the cache. If not, it was loaded again. */
async function goBack(browser) {
  // The page may be gone before it has answered.
  await browser.evaluate("setTimeout(() => history.back(), 10);").catch(() => undefined);
  const isBack = () => browser.evaluate("return globalThis.isReady === true;").catch(() => false);
  ensure(await until(isBack), "the page did not come back");
  return (await browser.evaluate("return globalThis.persisted === true;")) ? PERSISTED : "loaded again, ";
}

async function checkReceipts(browser) {
  const { accepted, delivered, stats } = await browser.evaluate(
    `for (let tries = 0; tries < 100 && receipts.delivered < arguments[0]; tries++) await wait(50);
    return { ...receipts, stats: outbox.stats() };`,
    EVENTS,
  );
  const { pending, dead, staged } = stats;
  ensure(
    accepted === EVENTS && delivered === EVENTS && pending + dead + staged === 0 && stats.accepted === stats.delivered,
    `receipts: ${accepted} accepted, ${delivered} delivered; stats: ${JSON.stringify(stats)}`,
  );
}

async function leaveAtRandom(browser, collector, rounds) {
  collector.behave = () => ({ delayMs: Math.random() * 50 });
  const blocked = [];
  let longestMs = 0;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    // The page loads itself again at a random moment, also before its outbox is open.
    await browser.open(`${collector.url}tests/faults/page.html?leaves=${[50, 400][round % 2]}`);
    const isLeft = () =>
      browser.evaluate("return location.search === '?next=1' && globalThis.isReady === true;").catch(() => false);
    const isReady = await until(isLeft, ANSWER_MS);
    const isAccepted =
      isReady &&
      (await browser.evaluate(
        "publish(arguments[0], 5, 20); return !(await held.flush({ deadlineMs: arguments[1] })).aborted;",
        `next.${round}`,
        ANSWER_MS,
      ));
    if (!isAccepted) blocked.push(round);
    longestMs = Math.max(longestMs, performance.now() - start);
    if (blocked.length > 3) break;
  }
  ensure(blocked.length === 0, `the page after round ${blocked.join(", ")} got no answer from its store`);
  const { aborted } = await drained(browser);
  ensure(!aborted, "not everything was delivered");
  const accepted = collector.notes.filter((line) => line.startsWith("left.")).flatMap((line) => line.split(","));
  ensureNothingLost(collector, accepted);
  return `${accepted.length} accepted, the longest round took ${Math.round(longestMs)} ms`;
}
