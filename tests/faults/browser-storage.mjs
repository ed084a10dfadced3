// Storage of browsers that is full, broken, missing, blocked or silent.
import { ENGINES } from "../browser.mjs";
import { hold, nothingLost } from "./collector.mjs";
import { drained, visit, withBrowser } from "./pages.mjs";

const BLOCKED = [
  ["IndexedDB is missing", { indexedDB: "missing" }, "localstorage", 1],
  ["IndexedDB is refused", { indexedDB: "refused" }, "localstorage", 1],
  ["IndexedDB does not answer", { indexedDB: "silent" }, "localstorage", 1],
  ["all storage is refused", { indexedDB: "refused", localStorage: "refused" }, "memory", 2],
];

export async function storagePages(tally) {
  await Promise.all(
    ENGINES.map((engine) =>
      tally.check(`${engine} starts`, () =>
        withBrowser(engine, async ({ collector, open }) => {
          const browser = await open();
          for (const name of ["QuotaExceededError", "AbortError", "InvalidStateError"])
            await tally.check(`${engine}, IndexedDB throws ${name} for a while`, () => full(browser, collector, name));
          for (const [title, asked, kind, told] of BLOCKED)
            await tally.check(`${engine}, ${title}`, () => blocked(browser, collector, asked, kind, told));
        }),
      ),
    ),
  );
}

async function full(browser, collector, name) {
  await visit(browser, collector);
  const { ids, during, told, after } = await browser.evaluate("return full(arguments[0]);", name);
  hold(!during && !after, `flush gave up: ${during ? "during the trouble" : "after it"}`);
  hold(told === 1, `${told} degraded events`);
  const { aborted, problems } = await drained(browser);
  hold(!aborted && problems.length === 0, aborted ? "not everything was delivered" : problems[0]);
  nothingLost(collector, ids);
  hold((await browser.evaluate("return outbox.stats().accepted;")) === ids.length, "the counters are wrong");
}

async function blocked(browser, collector, asked, kind, told) {
  await visit(browser, collector, { isAuto: 1, ...asked });
  const { ids, store, degraded } = await browser.evaluate(
    "const ids = publish(arguments[0], 50, 20); await held.flush({ deadlineMs: 5000 }); return { ids, store: outbox.stats().store, degraded };",
    `${JSON.stringify(asked)}`,
  );
  hold(store === kind, `it uses ${store}`);
  hold(degraded.length === told, `degraded: ${degraded}`);
  const { aborted, problems } = await drained(browser);
  hold(!aborted && problems.length === 0, aborted ? "not everything was delivered" : problems[0]);
  nothingLost(collector, ids);
  return degraded.join("; ");
}
