// Programs of the tests that serve until they are stopped.
import { once } from "node:events";
import { end, start } from "./child.mjs";

/**
 * Starts a shell command, and resolves once its output matches `ready`.
 *
 * @param options.seconds how long it may take @default 60
 * @returns `match`: what `ready` matched; `output()`: all that was printed; `until(pattern)`: waits for more of it; `stop()` kills the
 * program, `interrupt()` asks it to end
 */
export async function startServer(command, ready, { seconds = 60, ...options } = {}) {
  const child = start("/bin/sh", ["-c", command], options);
  let text = "";
  let isOver = false;
  const exited = once(child, "exit").then(() => (isOver = true));
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  const until = async (pattern) => {
    const signal = AbortSignal.timeout(seconds * 1000);
    for (let match = pattern.exec(text); ; match = pattern.exec(text)) {
      if (match) return match;
      if (isOver) throw new Error(`\`${command}\` has ended: ${text}`);
      try {
        await Promise.race([once(child.stdout, "data", { signal }), once(child.stderr, "data", { signal }), exited]);
      } catch {
        throw new Error(`\`${command}\` did not print ${pattern} in ${seconds} s: ${text}`);
      }
    }
  };
  const stop = async () => {
    end(child);
    await exited;
  };
  /** As Ctrl-C: the program may finish what it is doing. */
  const interrupt = async () => {
    if (!isOver) process.kill(-child.pid, "SIGTERM");
    await exited;
  };
  try {
    return { match: await until(ready), output: () => text, until, stop, interrupt };
  } catch (error) {
    end(child);
    throw error;
  }
}
