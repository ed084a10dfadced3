// Browser storage that is full, broken, missing, blocked or does not answer.
import { ENGINES } from "../browser.mjs";
import { ensure, ensureNothingLost } from "./collector.mjs";
import { drained, visit, withBrowser } from "./pages.mjs";

const BLOCKED = [
  ["the outbox uses localStorage if IndexedDB is missing", { indexedDB: "missing" }, "localstorage", 1],
  ["the outbox uses localStorage if IndexedDB is refused", { indexedDB: "refused" }, "localstorage", 1],
  ["the outbox uses localStorage if IndexedDB does not answer", { indexedDB: "silent" }, "localstorage", 1],
  ["the outbox uses memory if all storage is refused", { indexedDB: "refused", localStorage: "refused" }, "memory", 2],
];

export async function browserStorage(tally) {
  await Promise.all(
    ENGINES.map((engine) =>
      tally.check(`${engine} starts`, () =>
        withBrowser(engine, async ({ collector, open }) => {
          const browser = await open();
          for (const name of ["QuotaExceededError", "AbortError", "InvalidStateError"])
            await tally.check(`${engine}: no event is lost while IndexedDB throws ${name}`, () =>
              full(browser, collector, name),
            );
          for (const [title, options, kind, degradedCount] of BLOCKED)
            await tally.check(`${engine}: ${title}`, () => blocked(browser, collector, options, kind, degradedCount));
        }),
      ),
    ),
  );
}

async function full(browser, collector, name) {
  await visit(browser, collector);
  const { ids, during, degradedCount, after } = await browser.evaluate("return full(arguments[0]);", name);
  ensure(!during && !after, `flush was aborted ${during ? "during the failure" : "after the failure"}`);
  ensure(degradedCount === 1, `${degradedCount} degraded events`);
  const { aborted, problems } = await drained(browser);
  ensure(!aborted && problems.length === 0, aborted ? "not everything was delivered" : problems[0]);
  ensureNothingLost(collector, ids);
  ensure((await browser.evaluate("return outbox.stats().accepted;")) === ids.length, "the counters are wrong");
}

async function blocked(browser, collector, options, kind, degradedCount) {
  await visit(browser, collector, { isAuto: 1, ...options });
  const { ids, store, degraded } = await browser.evaluate(
    "const ids = publish(arguments[0], 50, 20); await held.flush({ deadlineMs: 5000 }); return { ids, store: outbox.stats().store, degraded };",
    `${JSON.stringify(options)}`,
  );
  ensure(store === kind, `the outbox uses ${store}`);
  ensure(degraded.length === degradedCount, `degraded: ${degraded}`);
  const { aborted, problems } = await drained(browser);
  ensure(!aborted && problems.length === 0, aborted ? "not everything was delivered" : problems[0]);
  ensureNothingLost(collector, ids);
  return degraded.join("; ");
}
