// What the tests of browsers have in common.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { start } from "../browser.mjs";
import { collect } from "./collector.mjs";

/** Opens the page of the tests and waits for its script. */
export async function visit(browser, collector, asked = {}) {
  await browser.open(`${collector.url}tests/faults/page.html?${new URLSearchParams(asked)}`);
  await browser.evaluate(
    "for (let tries = 0; !globalThis.isReady; tries++) { if (tries > 500) throw new Error('the script of the page did not start'); await new Promise((next) => setTimeout(next, 20)); }",
  );
}

/** Runs a body with a collector, and a folder for a profile. What `open` has started is ended, one browser at a time. */
export async function withBrowser(engine, body) {
  const collector = await collect();
  const profile = mkdtempSync(join(tmpdir(), "eventferry-profile-"));
  let browser;
  const open = async () => (browser = await start(engine, { profile }));
  try {
    return await body({ collector, open });
  } finally {
    await browser?.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    await collector.close();
  }
}

/** Waits until the outbox of the page has delivered everything. */
export const drained = (browser, ms = 15_000) =>
  browser.evaluate(
    "const report = await outbox.drain({ deadlineMs: arguments[0] }); return { ...report, problems };",
    ms,
  );
