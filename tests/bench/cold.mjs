// The time from the start of the process to the first use, minus that of an empty script: the first decoded event, or the
// first client. Each script in `cold` is one of them.
import { spawnSync } from "node:child_process";
import { existsSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { quartiles } from "./measure.mjs";

/** Starts each script several times, interleaved, and returns the milliseconds that each adds. */
export function coldStart(command, { quick }) {
  installPackage();
  const scripts = ["empty", "cloudevents", "eventferry", "publisher", "events-protocol", "streams"];
  const times = Object.fromEntries(scripts.map((name) => [name, []]));
  // The first round fills the file system cache and is not measured.
  for (let round = -1; round < (quick ? 5 : 21); round++) {
    for (const name of scripts) {
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
  const empty = quartiles(times.empty);
  return {
    empty,
    rows: scripts.slice(1).map((name) => ({ name, added: quartiles(times[name].map((time) => time - empty.median)) })),
  };
}

/** Puts the package into node_modules, where the runtime chooses its files by `exports` as in an application. */
function installPackage() {
  const installed = join(import.meta.dirname, "node_modules/eventferry");
  if (!existsSync(installed)) symlinkSync(join(import.meta.dirname, "../.."), installed, "junction");
}
