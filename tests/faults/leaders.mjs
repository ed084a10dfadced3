// Rounds of two to six tabs whose leader hangs, is closed or is frozen: every receipt ends, nothing is lost, and one tab at a
// time sends.
import { ENGINES } from "../browser.mjs";
import { ensure, ensureNothingLost, sleep, until } from "./collector.mjs";
import { visit, withBrowser } from "./pages.mjs";

const ROUNDS = { chrome: 200, firefox: 50, webkit: 50 };
const SHORT_ROUNDS = { chrome: 3, firefox: 1, webkit: 1 };
const REAL_ROUNDS = { chrome: 20, firefox: 5, webkit: 5 };
/** After so many rounds another browser is started. */
const ROUNDS_PER_BROWSER = 25;
const [MIN_TABS, MAX_TABS] = [2, 6];
/** What a tab that hangs holds up is delivered within this time. */
const SETTLE_MS = 40_000;
/** How long it may take until a leader knows that its lock was stolen. */
const STOLEN_MS = 200;

/** Times of the election, with which a leader that hangs is replaced within three seconds. */
export const FAST = {
  lockTimes: { beat: 200, silence: 600, answer: 300, maxDelay: 200 },
  publishMs: 1500,
  hangMs: [500, 5000],
};
/** Those of the package. */
export const REAL = { lockTimes: {}, publishMs: 3000, hangMs: [10_000, 45_000] };

export const leaders = (tally) => playRounds(tally, ROUNDS, FAST);
export const leadersShort = (tally) => playRounds(tally, SHORT_ROUNDS, FAST);
export const leadersReal = (tally) => playRounds(tally, REAL_ROUNDS, REAL);

/** Plays so many rounds in each engine that `rounds` names. */
export async function playRounds(tally, rounds, figures) {
  await Promise.all(
    ENGINES.filter((engine) => rounds[engine]).map(async (engine) => {
      for (let done = 0; done < rounds[engine]; done += ROUNDS_PER_BROWSER) {
        const count = Math.min(ROUNDS_PER_BROWSER, rounds[engine] - done);
        await tally.check(
          `${engine}: rounds ${done + 1} to ${done + count} of tabs that hang, are closed or frozen`,
          () => withBrowser(engine, ({ collector, open }) => playInBrowser(engine, collector, open, count, figures)),
        );
      }
    }),
  );
}

async function playInBrowser(engine, collector, open, count, figures) {
  const tabs = await Tabs.open(await open(), collector, figures);
  collector.behave = () => (Math.random() < 0.05 ? { status: 503 } : { delayMs: Math.random() * 100 });
  let longestMs = 0;
  for (let round = 0; round < count; round++) {
    const plan = planOf(engine, figures);
    try {
      longestMs = Math.max(longestMs, await play(tabs, collector, round, plan, figures));
    } catch (error) {
      throw new Error(`in round ${round + 1}, ${JSON.stringify(plan)}: ${error.message}`);
    }
  }
  const accepted = tabs.notes("accepted").flatMap(({ ids }) => ids);
  const became = tabs.notes("leader").filter(({ leads }) => leads).length;
  return `${accepted.length} accepted, ${collector.duplicates} duplicates, ${became} leaders, ${tabs.notes("hangs").length} hung, ${tabs.closedAt.size} closed, ${tabs.notes("degraded").length} times degraded, settled after ${Math.round(longestMs)} ms at most`;
}

/** What happens to the leaders of a round. */
function planOf(engine, { hangMs: [minMs, maxMs], publishMs }) {
  const kinds = ["hangs", "hangs", "is closed", ...(engine === "chrome" ? ["is frozen"] : [])];
  const faults = Array.from({ length: 1 + random(2) }, () => ({
    kind: kinds[random(kinds.length)],
    afterMs: random(publishMs),
    forMs: minMs + random(maxMs - minMs),
    how: ["loop", "wait"][random(2)],
  }));
  return { tabs: MIN_TABS + random(MAX_TABS - MIN_TABS + 1), faults };
}

/** Returns how long the events of the round took until all tabs knew their end. */
async function play(tabs, collector, round, plan, { publishMs }) {
  await tabs.resize(plan.tabs);
  const hangs = plan.faults.filter(({ kind }) => kind === "hangs");
  const start = performance.now();
  await tabs.broadcast({ command: "round", round, ms: publishMs, hangs });
  for (const fault of plan.faults.sort((a, b) => a.afterMs - b.afterMs)) {
    await sleep(start + fault.afterMs - performance.now());
    if (fault.kind === "is closed") await tabs.closeLeader();
    else if (fault.kind === "is frozen") await tabs.freezeLeader(fault.forMs);
  }
  await sleep(start + publishMs - performance.now());
  // A tab that hangs answers when it no longer does.
  const hungMs = Math.max(0, ...hangs.map(({ afterMs, forMs }) => afterMs + forMs));
  const problem = await tabs.untilSettled(Math.max(start + hungMs, performance.now()) + SETTLE_MS);
  ensure(problem === undefined, problem);
  const accepted = tabs.notes("accepted").flatMap(({ ids }) => ids);
  await until(() => collector.missing(accepted).length === 0);
  ensureNothingLost(collector, accepted);
  ensureOneSender(collector, tabs);
  return performance.now() - start;
}

/** A tab starts no request while another one is the leader. */
function ensureOneSender(collector, tabs) {
  const changes = tabs.notes("leader").sort((a, b) => a.at - b.at);
  const terms = changes.flatMap(({ tab, leads, at }, index) => {
    const end = changes.slice(index).find((later) => later.tab === tab && !later.leads)?.at;
    return leads ? [{ tab, from: at, to: Math.min(end ?? Infinity, tabs.closedAt.get(tab) ?? Infinity) }] : [];
  });
  const refused = new Set(tabs.notes("degraded").map(({ tab }) => tab));
  for (const { from: sender, sentAt } of collector.requests) {
    // A page that ends sends its own events, and a tab sends what its store refuses.
    if (sentAt >= (tabs.closedAt.get(sender) ?? Infinity) || refused.has(sender)) continue;
    const own = Math.max(...terms.filter(({ tab, from }) => tab === sender && from <= sentAt).map(({ from }) => from));
    const other = terms.find(
      ({ tab, from, to }) => tab !== sender && from > own && from < sentAt - STOLEN_MS && to > sentAt,
    );
    ensure(!other, `tab ${sender} sent at ${sentAt}: ${JSON.stringify({ other, terms: terms.slice(-12) })}`);
  }
}

/** The tabs of a browser, and one without an outbox that broadcasts commands. */
class Tabs {
  /** When the closing of each closed tab began. */
  closedAt = new Map();
  #browser;
  #collector;
  #options;
  #controller;
  #handles = new Map();
  #opened = 0;
  #reports = 0;

  static async open(browser, collector, { lockTimes }) {
    const tabs = new Tabs();
    tabs.#browser = browser;
    tabs.#collector = collector;
    tabs.#options = { lockTimes: JSON.stringify(lockTimes), isInRounds: true };
    tabs.#controller = await browser.currentTab();
    await browser.open(`${collector.url}tests/faults/empty.html`);
    return tabs;
  }

  notes(kind) {
    return this.#collector.notes.map((text) => JSON.parse(text)).filter((note) => note.kind === kind);
  }

  async broadcast(message) {
    await this.#browser.evaluate("new BroadcastChannel('leaders').postMessage(arguments[0]);", message);
  }

  /** Opens or closes tabs. */
  async resize(count) {
    while (this.#handles.size > count) await this.#close([...this.#handles.keys()][random(this.#handles.size)]);
    while (this.#handles.size < count) {
      const tab = `${this.#opened++}`;
      this.#handles.set(tab, await this.#browser.newTab());
      await visit(this.#browser, this.#collector, { ...this.#options, tab });
    }
    await this.#browser.switchTo(this.#controller);
  }

  async closeLeader() {
    const tab = this.#leader();
    if (tab !== undefined && this.#handles.size > 1) await this.#close(tab);
    await this.#browser.switchTo(this.#controller);
  }

  async freezeLeader(ms) {
    const tab = this.#leader();
    if (tab === undefined) return;
    await this.#setLifecycle(tab, "frozen");
    await sleep(ms);
    await this.#setLifecycle(tab, "active");
  }

  /** Waits until all tabs know the end of all their events. Returns what is wrong, if anything is. */
  async untilSettled(deadline) {
    for (;;) {
      const round = `report ${this.#reports++}`;
      await this.broadcast({ command: "report", round });
      const reports = () => this.notes("report").filter((note) => note.round === round);
      const isComplete = await until(() => reports().length === this.#handles.size, 1000);
      const problem = reports().flatMap(({ problems }) => problems)[0];
      if (problem !== undefined) return problem;
      const open = reports().filter(({ open, isPublishing }) => isPublishing || open > 0);
      if (isComplete && open.length === 0) return undefined;
      if (performance.now() > deadline)
        return `of ${this.#handles.size} tabs ${reports().length} answer, with unsettled receipts: ${JSON.stringify(open)}`;
    }
  }

  /** The tab that has last become the leader. */
  #leader() {
    const became = this.notes("leader").filter(({ tab, leads }) => leads && this.#handles.has(tab));
    return became.sort((a, b) => a.at - b.at).at(-1)?.tab;
  }

  async #close(tab) {
    await this.#browser.switchTo(this.#handles.get(tab));
    this.closedAt.set(tab, Date.now());
    await this.#browser.closeTab();
    this.#handles.delete(tab);
  }

  async #setLifecycle(tab, state) {
    await this.#browser.switchTo(this.#handles.get(tab));
    await this.#browser.devTools("Page.setWebLifecycleState", { state });
    await this.#browser.switchTo(this.#controller);
  }
}

function random(below) {
  return Math.floor(Math.random() * below);
}
