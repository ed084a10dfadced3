// Ten tabs share one outbox: one leader sends, every tab learns the outcome of its events, and no event is lost.
import { ENGINES } from "../browser.mjs";
import { ensure, ensureNothingLost, sleep, until } from "./collector.mjs";
import { visit, withBrowser } from "./pages.mjs";

const TABS = 10;
const EVENTS_PER_TAB = 100;

export async function tabs(tally) {
  await Promise.all(
    ENGINES.map((engine) =>
      tally.check(`${engine}: ${TABS} tabs share one outbox, also when the leader is closed`, () =>
        shareOutbox(engine),
      ),
    ),
  );
}

function shareOutbox(engine) {
  return withBrowser(engine, async ({ collector, open }) => {
    const browser = await open();
    const controller = await browser.currentTab();
    // This tab has no outbox; it only broadcasts commands.
    await browser.open(`${collector.url}tests/faults/empty.html`);
    const handles = new Map();
    for (let tab = 0; tab < TABS; tab++) {
      handles.set(`${tab}`, await browser.newTab());
      await visit(browser, collector, { tab });
    }
    await browser.switchTo(controller);
    const broadcast = (command, round) =>
      browser.evaluate(
        "new BroadcastChannel('test').postMessage({ command: arguments[0], round: arguments[1] });",
        command,
        round,
      );
    const notes = (kind, round) =>
      collector.notes.map((text) => JSON.parse(text)).filter((note) => note.kind === kind && note.round === round);
    let queries = 0;
    const leaders = async () => {
      const round = `${queries++}`;
      await broadcast("stats", round);
      ensure(
        await until(() => notes("stats", round).length === handles.size),
        `only ${notes("stats", round).length} of ${handles.size} tabs answered`,
      );
      const problem = notes("stats", round).flatMap(({ problems }) => problems)[0];
      ensure(problem === undefined, `a tab reports: ${problem}`);
      return notes("stats", round)
        .filter(({ stats }) => stats.isLeader)
        .map(({ tab }) => tab);
    };
    const round = async (name) => {
      collector.maxOpen = 0;
      await broadcast("publish", name);
      await until(() => notes("delivered", name).length === handles.size, 30_000);
      const delivered = notes("delivered", name);
      ensure(
        delivered.length === handles.size && delivered.every(({ count }) => count === EVENTS_PER_TAB),
        `${delivered.length} of ${handles.size} tabs know the outcome of their events, delivered: ${delivered.map(({ count }) => count)}`,
      );
    };
    const allIds = (name) =>
      [...handles.keys()].flatMap((tab) =>
        Array.from({ length: EVENTS_PER_TAB }, (_, at) => `${name}.${tab}.${Math.floor(at / 10)}.${at % 10}`),
      );

    collector.behave = () => ({ delayMs: 30 });
    await round("first");
    ensureNothingLost(collector, allIds("first"));
    ensure(collector.maxOpen === 1, `${collector.maxOpen} requests were open at the same time`);
    ensure(collector.duplicates === 0, `${collector.duplicates} duplicates`);
    const [first, ...more] = await leaders();
    ensure(first !== undefined && more.length === 0, `the leaders are ${[first, ...more]}`);

    await browser.switchTo(handles.get(first));
    await browser.closeTab();
    handles.delete(first);
    await browser.switchTo(controller);
    await sleep(200);
    const [second, ...others] = await leaders();
    ensure(
      second !== undefined && second !== first && others.length === 0,
      `after tab ${first} was closed, the leaders are ${[second, ...others]}`,
    );
    await round("second");
    ensureNothingLost(collector, allIds("second"));
    ensure(
      collector.maxOpen === 1 && collector.duplicates === 0,
      `${collector.maxOpen} requests were open at the same time, ${collector.duplicates} duplicates`,
    );

    // The leader is closed while all tabs publish.
    collector.behave = () => ({ delayMs: 200 });
    await browser.switchTo(handles.get(second));
    await browser.evaluate("broadcast('publish', 'third');");
    await sleep(150);
    await browser.closeTab();
    handles.delete(second);
    await browser.switchTo(controller);
    await until(() => notes("delivered", "third").length === handles.size, 30_000);
    const delivered = notes("delivered", "third");
    ensure(
      delivered.length === handles.size && delivered.every(({ count }) => count === EVENTS_PER_TAB),
      `${delivered.length} of ${handles.size} tabs know the outcome of their events, delivered: ${delivered.map(({ count }) => count)}`,
    );
    ensureNothingLost(collector, allIds("third"));
    const accepted = collector.notes
      .map((text) => JSON.parse(text))
      .filter(({ kind }) => kind === "accepted")
      .flatMap(({ ids }) => ids);
    await until(() => collector.missing(accepted).length === 0);
    ensureNothingLost(collector, accepted);
    ensure(collector.duplicates <= 2 * 250, `${collector.duplicates} duplicates`);
    return `${accepted.length} accepted, ${collector.requests.length} requests, ${collector.duplicates} duplicates after the leader was closed`;
  });
}
