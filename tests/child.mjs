// Child processes of the tests. Each has its own process group and a time limit, so that no process is left behind.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const running = new Set();
process.on("exit", () => running.forEach(end));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** Starts a program. Its process group is killed when this process ends for any reason. */
export function start(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, ...options });
  running.add(child);
  // Processes that the program started may outlive it, so the whole group is killed.
  child.once("exit", () => end(child));
  child.once("error", () => running.delete(child));
  return child;
}

/** Kills a program and all processes that it started. */
export function end(child) {
  if (!running.delete(child) || child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // The group no longer exists.
  }
}

/**
 * Runs a program until it exits or its time limit is reached.
 *
 * @param options.minutes time limit @default 5
 * @param options.show whether to print its output, indented, while it runs @default true
 * @returns {Promise<{ ok: boolean, output: string, problem?: string }>} `output` contains stdout and stderr
 */
export function runChild(program, args, { minutes = 5, show = true, ...options } = {}) {
  return new Promise((resolve) => {
    const child = start(program, args, options);
    const lines = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      // A test program of the project first kills its own process groups.
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
      if (timedOut) settle(`${program} did not exit within ${minutes} minutes`);
      else settle(code === 0 ? undefined : `${program} exited with ${signal ?? `code ${code}`}`);
    });
  });
}
