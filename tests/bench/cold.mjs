// The time from the start of the process to the first use, minus that of an empty script: the first decoded event, or the
// first client. Each script in `cold` is one of them.
import { spawnSync } from "node:child_process";
import { existsSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { quartiles } from "./measure.mjs";

const SCRIPTS = ["empty", "cloudevents", "eventferry", "publisher", "events-protocol", "streams"];

/** Starts each script several times, interleaved, and returns the milliseconds that each adds. */
export function coldStart(command, { quick }) {
  installPackage();
  const times = Object.fromEntries(SCRIPTS.map((name) => [name, []]));
  // The first round fills the file system cache and is not measured.
  for (let round = -1; round < (quick ? 5 : 21); round++) {
    for (const name of SCRIPTS) {
      const start = performance.now();
      const { status, stderr } = spawnSync(
        command[0],
        [...command.slice(1), join(import.meta.dirname, "cold", `${name}.mjs`)],
        { timeout: 10_000, encoding: "utf8" },
      );
      const took = performance.now() - start;
      if (status !== 0) throw new Error(`cold/${name}.mjs ended with ${status}: ${stderr}`);
      if (round >= 0) times[name].push(took);
    }
  }
  return addedTo(times);
}

/**
 * Imports each script in a new page of the browser, several times, interleaved, and returns the milliseconds that each adds.
 * The scripts come from this machine, so their download takes no time.
 */
export async function coldStartInBrowser(name, { quick }) {
  const { bundle, withBrowser } = await import("./browser.mjs");
  const files = new Map();
  for (const script of SCRIPTS)
    files.set(`/${script}.js`, await bundle(join(import.meta.dirname, "cold", `${script}.mjs`)));
  const times = Object.fromEntries(SCRIPTS.map((script) => [script, []]));
  return withBrowser(name, files, 10_000, async (page) => {
    for (let round = -1; round < (quick ? 5 : 21); round++) {
      for (const script of SCRIPTS) {
        await page.open("<title>start</title>");
        // Another URL each time: a browser keeps the compiled code of a script.
        const url = `/${script}.js?${round}`;
        const took = await page.run(
          "const start = performance.now(); await import(values[0]); return performance.now() - start;",
          url,
        );
        if (round >= 0) times[script].push(took);
      }
    }
    return addedTo(times);
  });
}

/** What each script adds to the median of an empty one. */
function addedTo(times) {
  const empty = quartiles(times.empty);
  const rows = SCRIPTS.slice(1).map((name) => ({
    name,
    added: quartiles(times[name].map((time) => time - empty.median)),
  }));
  return { empty, rows };
}

/** Puts the package into node_modules, where the runtime chooses its files by `exports` as in an application. */
function installPackage() {
  const installed = join(import.meta.dirname, "node_modules/eventferry");
  if (!existsSync(installed)) symlinkSync(join(import.meta.dirname, "../.."), installed, "junction");
}
