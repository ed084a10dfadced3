// Child processes of the tests: each has its own process group and an end to its time, so that nothing is left behind.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const running = new Set();
process.on("exit", () => running.forEach(end));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** Starts a program. The group is killed with us, whatever ends us. */
export function start(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, ...options });
  running.add(child);
  // What the program itself started may outlive it, so the whole group goes.
  child.once("exit", () => end(child));
  child.once("error", () => running.delete(child));
  return child;
}

/** Ends a program and all that it has started. */
export function end(child) {
  if (!running.delete(child) || child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/**
 * Runs a program to its end, or to the end of its time.
 *
 * @param options.minutes how long it may take @default 5
 * @param options.show whether its output is shown, indented, while it runs @default true
 * @returns {Promise<{ ok: boolean, output: string, problem?: string }>} `output` has both streams in it
 */
export function runChild(program, args, { minutes = 5, show = true, ...options } = {}) {
  return new Promise((resolve) => {
    const child = start(program, args, options);
    const lines = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      // A test program of ours has groups of its own to end first.
      child.kill("SIGTERM");
      setTimeout(end, 5000, child).unref();
    }, minutes * 60_000);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        if (show) console.log(`  ${line}`);
      });
    }
    const settle = (problem) => {
      clearTimeout(timer);
      resolve({ ok: problem === undefined, output: lines.join("\n"), ...(problem && { problem }) });
    };
    child.once("error", (error) => settle(`${program} could not be started: ${error.message}`));
    child.once("close", (code, signal) => {
      if (timedOut) settle(`${program} did not end within ${minutes} minutes`);
      else settle(code === 0 ? undefined : `${program} ended with ${signal ?? `exit code ${code}`}`);
    });
  });
}
