// Ten tabs on one outbox.
import { ENGINES } from "../browser.mjs";
import { hold, nothingLost, pause, until } from "./collector.mjs";
import { visit, withBrowser } from "./pages.mjs";

const TABS = 10;
const EACH = 100;

export async function tabs(tally) {
  await Promise.all(ENGINES.map((engine) => tally.check(`${engine}, ${TABS} tabs`, () => together(engine))));
}

function together(engine) {
  return withBrowser(engine, async ({ collector, open }) => {
    const browser = await open();
    const asking = await browser.currentTab();
    // This one has no outbox: it only passes on what is asked.
    await browser.open(`${collector.url}tests/faults/empty.html`);
    const handles = new Map();
    for (let tab = 0; tab < TABS; tab++) {
      handles.set(`${tab}`, await browser.newTab());
      await visit(browser, collector, { tab });
    }
    await browser.switchTo(asking);
    const tell = (what, round) =>
      browser.evaluate(
        "new BroadcastChannel('test').postMessage({ what: arguments[0], round: arguments[1] });",
        what,
        round,
      );
    const notes = (what, round) =>
      collector.noted.map((text) => JSON.parse(text)).filter((note) => note.what === what && note.round === round);
    let asked = 0;
    const leaders = async () => {
      const round = `${asked++}`;
      await tell("stats", round);
      hold(
        await until(() => notes("stats", round).length === handles.size),
        `only ${notes("stats", round).length} of ${handles.size} tabs answered`,
      );
      const problem = notes("stats", round).flatMap(({ problems }) => problems)[0];
      hold(problem === undefined, `a tab says: ${problem}`);
      return notes("stats", round)
        .filter(({ stats }) => stats.isLeader)
        .map(({ tab }) => tab);
    };
    const round = async (name) => {
      collector.mostOpen = 0;
      await tell("publish", name);
      await until(() => notes("delivered", name).length === handles.size, 30_000);
      const told = notes("delivered", name);
      hold(
        told.length === handles.size && told.every(({ count }) => count === EACH),
        `of ${handles.size} tabs ${told.length} know what became of theirs: ${told.map(({ count }) => count)}`,
      );
    };
    const allIds = (name) =>
      [...handles.keys()].flatMap((tab) =>
        Array.from({ length: EACH }, (_, at) => `${name}.${tab}.${Math.floor(at / 10)}.${at % 10}`),
      );

    collector.behave = () => ({ delayMs: 30 });
    await round("first");
    nothingLost(collector, allIds("first"));
    hold(collector.mostOpen === 1, `${collector.mostOpen} requests were open at once`);
    hold(collector.duplicates === 0, `${collector.duplicates} came twice`);
    const [first, ...more] = await leaders();
    hold(first !== undefined && more.length === 0, `these lead: ${[first, ...more]}`);

    await browser.switchTo(handles.get(first));
    await browser.closeTab();
    handles.delete(first);
    await browser.switchTo(asking);
    await pause(200);
    const [second, ...others] = await leaders();
    hold(
      second !== undefined && second !== first && others.length === 0,
      `after ${first} has gone these lead: ${[second, ...others]}`,
    );
    await round("second");
    nothingLost(collector, allIds("second"));
    hold(
      collector.mostOpen === 1 && collector.duplicates === 0,
      `${collector.mostOpen} requests were open at once, ${collector.duplicates} came twice`,
    );

    // The one that leads is closed while all are at it.
    collector.behave = () => ({ delayMs: 200 });
    await browser.switchTo(handles.get(second));
    await browser.evaluate("tell('publish', 'third');");
    await pause(150);
    await browser.closeTab();
    handles.delete(second);
    await browser.switchTo(asking);
    await until(() => notes("delivered", "third").length === handles.size, 30_000);
    const told = notes("delivered", "third");
    hold(
      told.length === handles.size && told.every(({ count }) => count === EACH),
      `of ${handles.size} tabs ${told.length} know what became of theirs: ${told.map(({ count }) => count)}`,
    );
    nothingLost(collector, allIds("third"));
    const promised = collector.noted
      .map((text) => JSON.parse(text))
      .filter(({ what }) => what === "accepted")
      .flatMap(({ ids }) => ids);
    await until(() => collector.missing(promised).length === 0);
    nothingLost(collector, promised);
    hold(collector.duplicates <= 2 * 250, `${collector.duplicates} came twice`);
    return `${promised.length} promised in ${collector.requests.length} requests, ${collector.duplicates} came twice when the leader was closed in the middle`;
  });
}
