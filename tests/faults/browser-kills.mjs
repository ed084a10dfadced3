// Browsers are killed while a page publishes into IndexedDB, and rows are damaged in between: every accepted event is
// delivered, those of a damaged row once it can be read again.
import { ENGINES } from "../browser.mjs";
import { countRepeated, ensure, ensureNothingLost, sleep } from "./collector.mjs";
import { drained, visit, withBrowser } from "./pages.mjs";

const KILLS = 6;
/** What another version of the program does to some rows, and how it is undone. */
const DAMAGE = "if (count < 2 && row.form === undefined) { count++; rows.put({ ...row, form: 1 }); }";
const MEND = "const { form, ...rest } = row; if (form !== undefined) { count++; rows.put(rest); }";

export async function browserKills(tally) {
  await Promise.all(
    ENGINES.map((engine) =>
      tally.check(`${engine}: no accepted event is lost in ${KILLS} kills`, () => killRepeatedly(engine)),
    ),
  );
}

function killRepeatedly(engine) {
  return withBrowser(engine, async ({ collector, open }) => {
    let damaged = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const delayMs = kill % 2 ? 400 : 0;
      collector.behave = () => ({ delayMs });
      const browser = await open();
      if (kill % 2 === 0) damaged += await changeRows(browser, collector, DAMAGE);
      await visit(browser, collector);
      await browser.evaluate("void stream(arguments[0]);", `${kill}`);
      await sleep(Math.random() * 800 + delayMs);
      browser.kill();
      // Requests in flight still arrive.
      await sleep(100);
    }
    collector.behave = () => ({});
    const browser = await open();
    damaged += await changeRows(browser, collector, DAMAGE);
    await drainOnVisit(browser, collector);
    const degraded = await browser.evaluate("return degraded;");
    const isTold = degraded.length === 1 && /cannot be read/.test(degraded[0]);
    ensure(damaged > 0 && isTold, `${damaged} rows were damaged, degraded: ${degraded.join("; ") || "nothing"}`);
    const mended = await changeRows(browser, collector, MEND);
    ensure(mended === damaged, `of ${damaged} damaged rows ${mended} are left`);
    await drainOnVisit(browser, collector);
    const accepted = collector.notes.flatMap((line) => line.split(","));
    ensureNothingLost(collector, accepted);
    ensure(accepted.length > 100, `only ${accepted.length} were accepted`);
    const repeatedRequests = countRepeated(collector.requests);
    ensure(repeatedRequests <= KILLS, `${repeatedRequests} requests were repeated after ${KILLS} kills`);
    const duplicates = `${collector.duplicates} duplicates from ${repeatedRequests} repeated requests`;
    return `${browser.name}: ${accepted.length} accepted, ${collector.seen.size} delivered, ${duplicates}`;
  });
}

async function drainOnVisit(browser, collector) {
  await visit(browser, collector);
  const { aborted, problems } = await drained(browser);
  ensure(
    !aborted && problems.length === 0,
    `after the last kill: ${aborted ? "not everything was delivered" : problems[0]}`,
  );
}

/** Runs `body` for each stored segment `row`, in a page without an outbox. Returns its `count`. */
async function changeRows(browser, collector, body) {
  await browser.open(`${collector.url}tests/faults/empty.html`);
  return browser.evaluate(`
    const done = (request) => new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    let count = 0;
    for (const { name } of await indexedDB.databases()) {
      const database = await done(indexedDB.open(name));
      const transaction = database.transaction("segments", "readwrite");
      const rows = transaction.objectStore("segments");
      for (const row of await done(rows.getAll())) { ${body} }
      await new Promise((resolve, reject) => { transaction.oncomplete = resolve; transaction.onabort = reject; });
      database.close();
    }
    return count;`);
}
