// Drives a real headless browser with the commands of the W3C WebDriver protocol that the tests need.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ensureBrowser } from "../js/build/tools.mjs";
import { end, start as startProgram } from "./child.mjs";
import { missing } from "./tally.mjs";
import { startWebkit, webkitCapabilities } from "./webkit.mjs";

export const ENGINES = ["chrome", "firefox", "webkit"];

/** The line that each driver prints when it listens. It picks a free port, so that two runs do not collide. */
const LISTENING_LINES = { chrome: /started successfully on port (\d+)/, firefox: /Listening on 127\.0\.0\.1:(\d+)/ };

/** The capabilities with which each browser is started. Chromium cannot use its sandbox as root in a container. */
export function capabilities(engine, binary, options = {}) {
  const { profile, reducedMotion = false } = options;
  if (engine === "webkit") return webkitCapabilities(binary, options);
  return engine === "chrome"
    ? {
        "goog:chromeOptions": {
          binary,
          args: [
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
            ...(profile ? [`--user-data-dir=${profile}`] : []),
          ],
        },
      }
    : {
        "moz:firefoxOptions": {
          binary,
          args: ["-headless", ...(profile ? ["-profile", profile] : [])],
          prefs: { "devtools.console.stdout.content": true, "ui.prefersReducedMotion": Number(reducedMotion) },
        },
      };
}

/**
 * Starts a browser.
 *
 * @param engine `"chrome"`, `"firefox"` or `"webkit"`
 * @param options.profile a folder for data that outlives the browser @default none
 * @param options.reducedMotion what the user prefers, in Firefox and WebKit @default false
 * @param options.watchConsole whether `consoleErrors` is called, which WebKit has to know @default false
 * @returns `name` with its version; `open(url)` waits until the page has loaded; `evaluate(body, ...args)` runs the body
 * of an async function in the page with `arguments` and returns its result as JSON; `currentTab()` is the handle of the
 * tab; `newTab()` opens a tab and switches to it; `switchTo(tab)` and `closeTab()`; `kill()` ends the browser as a crash
 * would.
 */
export async function start(engine, { seconds = 60, profile, reducedMotion, watchConsole } = {}) {
  const found = ensureBrowser(engine);
  if (!found) throw missing(`${engine} or its driver is not installed`);
  // Browsers leave files behind in the temporary folder, so each gets its own.
  const folder = mkdtempSync(join(tmpdir(), "eventferry-browser-"));
  let driver;
  let display;
  /** What Firefox has printed of errors since they were last asked for. */
  const errors = [];
  const stop = () => {
    if (driver) end(driver);
    if (display) end(display);
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  process.once("exit", stop);
  try {
    let port;
    // The port that chromedriver picks may be taken under IPv6, and then it exits.
    for (let tries = 5; port === undefined; tries--) {
      const env = { ...process.env, TMPDIR: folder };
      try {
        if (engine === "webkit") {
          ({ driver, display, port } = await startWebkit(found.driver, env, seconds));
        } else {
          driver = startProgram(found.driver, ["--port=0"], { env });
          if (engine === "firefox") collectLines(driver, FIREFOX_ERROR, errors);
          port = await listening(driver, LISTENING_LINES[engine], seconds);
        }
      } catch (error) {
        if (driver) end(driver);
        if (tries === 1) throw error;
      }
    }
    const command = commands(`http://127.0.0.1:${port}`, seconds);
    const { sessionId, capabilities: got } = await command("POST", "/session", {
      capabilities: {
        alwaysMatch: {
          ...capabilities(engine, found.browser, { profile, reducedMotion, watchConsole }),
          ...(engine === "chrome" && { "goog:loggingPrefs": { browser: "ALL" } }),
          timeouts: { script: seconds * 1000, pageLoad: seconds * 1000 },
        },
      },
    });
    const session = `/session/${sessionId}`;
    return {
      name: `${got.browserName} ${got.browserVersion}`,
      async open(url) {
        await command("POST", `${session}/url`, { url });
        // WebKit answers before the scripts of modules have run.
        if (engine === "webkit") await untilComplete(command, session, seconds);
      },
      currentTab: () => command("GET", `${session}/window`),
      async newTab() {
        const { handle } = await command("POST", `${session}/window/new`, { type: "tab" });
        await command("POST", `${session}/window`, { handle });
        return handle;
      },
      switchTo: (handle) => command("POST", `${session}/window`, { handle }),
      closeTab: () => command("DELETE", `${session}/window`),
      /** A command of the DevTools protocol, in Chromium only. */
      devTools: (cmd, params) => command("POST", `${session}/goog/cdp/execute`, { cmd, params }),
      /** What was written to the console as an error since the last call; in WebKit, by the present page. */
      async consoleErrors() {
        if (engine === "webkit") return this.evaluate("return consoleErrors.splice(0);");
        if (engine === "firefox") return errors.splice(0);
        const entries = await command("POST", `${session}/se/log`, { type: "browser" });
        return entries.filter(({ level }) => level === "SEVERE").map(({ message }) => message);
      },
      kill() {
        for (const pid of descendants(driver.pid)) killProcess(pid);
        process.off("exit", stop);
        stop();
      },
      async evaluate(body, ...args) {
        // The outcome is returned as a value, because the drivers report errors in different ways.
        const script = `return (async function () { ${body} })
          .apply(null, arguments)
          .then((value) => ({ value }), (error) => ({ problem: String(error) }));`;
        const outcome = await command("POST", `${session}/execute/sync`, { script, args });
        if (outcome.problem !== undefined) throw new Error(`in the page: ${outcome.problem}`);
        return outcome.value;
      },
      async close() {
        await command("DELETE", session).catch(() => undefined);
        process.off("exit", stop);
        stop();
      },
    };
  } catch (error) {
    stop();
    throw error;
  }
}

async function untilComplete(command, session, seconds) {
  const state = { script: "return document.readyState;", args: [] };
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    if ((await command("POST", `${session}/execute/sync`, state)) === "complete") return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the page did not load within ${seconds} s`);
}

/** The pids of all descendants of a process. Linux only. */
function descendants(pid) {
  const parents = new Map();
  for (const name of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // The process has ended.
    }
  }
  const found = [];
  for (let level = [pid]; level.length > 0; found.push(...level))
    level = [...parents].filter(([, parent]) => level.includes(parent)).map(([child]) => child);
  return found;
}

/** Kills a process. Some processes of a browser exit by themselves after others were killed. */
function killProcess(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** How Firefox prints errors. Without those of its own files, and without the imports of pages that were left meanwhile. */
const FIREFOX_ERROR =
  /^(?:console\.error: (?!RSLoader)|JavaScript error: )(?!.*(?:resource:\/\/|error loading dynamically imported module))/;

/** Adds the lines of a kind that a driver and its browser print. */
function collectLines(driver, pattern, lines) {
  for (const stream of [driver.stdout, driver.stderr])
    createInterface({ input: stream }).on("line", (line) => {
      if (pattern.test(line)) lines.push(line);
    });
}

/** The port of a driver, from the line that it prints. */
function listening(driver, pattern, seconds) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the browser driver was not ready within ${seconds} s`)),
      seconds * 1000,
    );
    driver.once("error", reject);
    let errorOutput = "";
    driver.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`the browser driver exited with code ${code}: ${errorOutput}`));
    });
    driver.stderr.on("data", (chunk) => {
      errorOutput = (errorOutput + chunk).slice(-500);
    });
    createInterface({ input: driver.stdout }).on("line", (line) => {
      const match = pattern.exec(line);
      if (!match) return;
      clearTimeout(timer);
      resolve(Number(match[1]));
    });
  });
}

function commands(base, seconds) {
  return async (method, path, body) => {
    const response = await fetch(base + path, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      signal: AbortSignal.timeout((seconds + 10) * 1000),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`the browser refused ${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  };
}
