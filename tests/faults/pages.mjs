// Helpers of the browser checks.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { start } from "../browser.mjs";
import { collect } from "./collector.mjs";

/** Opens the test page with options in its URL, and waits for its script. */
export async function visit(browser, collector, options = {}) {
  await browser.open(`${collector.url}tests/faults/page.html?${new URLSearchParams(options)}`);
  await browser.evaluate(
    `for (let tries = 0; !globalThis.isReady; tries++) {
      if (tries > 1500) throw new Error("the script of the page did not start");
      await new Promise((next) => setTimeout(next, 20));
    }`,
  );
}

/** Runs a body with a collector and a browser profile. The last browser that `open` started is closed afterwards. */
export async function withBrowser(engine, body) {
  const collector = await collect();
  const profile = mkdtempSync(join(tmpdir(), "eventferry-profile-"));
  let browser;
  const open = async () => (browser = await start(engine, { profile }));
  try {
    return await body({ collector, open, profile });
  } finally {
    await browser?.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    await collector.close();
  }
}

export const THROUGH = "the handlers were through";

/** What became of the handlers of a page that ended, which was visited with the option `ending`, as far as it could tell. */
export function handlersOf({ notes }, ending) {
  if (notes.includes(`through ${ending}`)) return THROUGH;
  return notes.includes(`called ${ending}`) ? "the handlers were terminated" : "no handler was called";
}

/** Waits until the outbox of the page has delivered everything. Returns its report and the problems of the page. */
export const drained = (browser, ms = 15_000) =>
  browser.evaluate(
    "const report = await outbox.drain({ deadlineMs: arguments[0] }); return { ...report, problems };",
    ms,
  );
