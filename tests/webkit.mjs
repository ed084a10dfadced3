// Starts the driver of WebKitGTK, which needs a display and does not tell on which port it listens.
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { end, start } from "./child.mjs";

const BROWSER = fileURLToPath(new URL("webkit-browser.py", import.meta.url));

/**
 * The capabilities with which the browser is started.
 *
 * @param python the program that runs it
 * @param options.profile a folder for data that stays
 * @param options.reducedMotion what the user prefers
 * @param options.watchConsole whether each page collects its errors in `consoleErrors`
 */
export function webkitCapabilities(python, { profile, reducedMotion, watchConsole } = {}) {
  const args = [BROWSER];
  if (profile) args.push(`--profile=${profile}`);
  if (reducedMotion) args.push("--reduced-motion");
  if (watchConsole) args.push("--watch-console");
  return { "webkitgtk:browserOptions": { binary: python, args } };
}

/**
 * Starts a display and the driver.
 *
 * @param env the environment of the driver and the browser
 * @returns the processes, and the port of the driver
 */
export async function startWebkit(driverPath, env, seconds) {
  const { display, number } = await startDisplay(seconds);
  const port = await freePort();
  const driver = start(driverPath, ["--host=127.0.0.1", `--port=${port}`], {
    env: { ...env, DISPLAY: `:${number}` },
    stdio: ["ignore", "ignore", "ignore"],
  });
  try {
    await ready(driver, port, seconds);
    return { driver, display, port };
  } catch (error) {
    end(driver);
    end(display);
    throw error;
  }
}

/** A display in memory. It picks a free number. */
export async function startDisplay(seconds) {
  const display = start("Xvfb", ["-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]);
  display.stderr.resume();
  const number = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Xvfb was not ready within ${seconds} s`)), seconds * 1000);
    display.once("error", reject);
    display.once("exit", (code) => reject(new Error(`Xvfb exited with code ${code}`)));
    createInterface({ input: display.stdout }).once("line", (line) => {
      clearTimeout(timer);
      resolve(Number(line));
    });
  });
  return { display, number };
}

/** Waits until the driver answers. Another program may have taken the port; then the driver exits. */
async function ready(driver, port, seconds) {
  let exitCode;
  driver.once("exit", (code) => (exitCode = code));
  driver.once("error", () => (exitCode = -1));
  for (const end = Date.now() + seconds * 1000; Date.now() < end && exitCode === undefined; ) {
    const isReady = await fetch(`http://127.0.0.1:${port}/status`).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(
    exitCode === undefined ? `the browser driver was not ready within ${seconds} s` : "the browser driver exited",
  );
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
