// A browser loses the file in which it keeps a large value of IndexedDB: the other events are delivered.
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { ENGINES } from "../browser.mjs";
import { ensure, sleep } from "./collector.mjs";
import { drained, visit, withBrowser } from "./pages.mjs";

/** Chromium keeps values from 64 KiB on in files of their own, Firefox from 1 MiB on. */
const LARGE_BYTES = 1_500_000;
/** The folders of these files in a profile. WebKit keeps all values in one database. */
const FOLDERS = { chrome: /\.indexeddb\.blob\//, firefox: /\/idb\/[^/]*\.files\// };

export async function browserLostFiles(tally) {
  await Promise.all(
    ENGINES.filter((engine) => FOLDERS[engine]).map((engine) =>
      tally.check(`${engine}: a lost file of IndexedDB costs the events in it, and is told`, () => loseFile(engine)),
    ),
  );
}

function loseFile(engine) {
  return withBrowser(engine, async ({ collector, open, profile }) => {
    collector.behave = () => ({ status: 503 });
    let browser = await open();
    await visit(browser, collector);
    const small = [];
    for (const [name, count, bytes] of [
      ["before", 5, 20],
      ["large", 1, LARGE_BYTES],
      ["after", 5, 20],
    ]) {
      const ids = await browser.evaluate(
        "const ids = publish(...arguments); await held.flush({ deadlineMs: 5000 }); return ids;",
        name,
        count,
        bytes,
      );
      if (name !== "large") small.push(...ids);
    }
    browser.kill();
    await sleep(500);
    let lost = 0;
    for (const name of readdirSync(profile, { recursive: true })) {
      const path = join(profile, name);
      if (!FOLDERS[engine].test(`/${name}`) || !statSync(path, { throwIfNoEntry: false })?.isFile()) continue;
      rmSync(path);
      lost++;
    }
    ensure(lost > 0, "the browser keeps no value in a file");
    collector.behave = () => ({});
    browser = await open();
    await visit(browser, collector);
    const { aborted, problems } = await drained(browser);
    ensure(!aborted && problems.length === 0, aborted ? "not everything was delivered" : problems[0]);
    const missing = small.filter((id) => !collector.seen.has(id));
    ensure(missing.length === 0, `${missing} were not delivered`);
    const degraded = await browser.evaluate("return degraded;");
    ensure(
      degraded.length === 1 && /cannot be read/.test(degraded[0]),
      `degraded: ${degraded.join("; ") || "nothing"}`,
    );
    // The row stays, and a purge deletes it.
    await browser.evaluate("await outbox.purge();");
    await visit(browser, collector);
    const again = await browser.evaluate("await outbox.drain({ deadlineMs: 5000 }); return degraded;");
    ensure(again.length === 0, `after the purge: ${again.join("; ")}`);
    return degraded[0];
  });
}
