// Drives a real browser without a window: the few commands of the W3C WebDriver protocol that the tests need, for both engines.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ensureBrowser } from "../js/build/tools.mjs";
import { end, start as startProgram } from "./child.mjs";
import { missing } from "./tally.mjs";

export const ENGINES = ["chrome", "firefox"];

/** What each driver says when it listens. It chooses the port itself, so that two runs never meet. */
const LISTENS = { chrome: /started successfully on port (\d+)/, firefox: /Listening on 127\.0\.0\.1:(\d+)/ };

/** How each browser is started. A sandbox within a container is not to be had, so root goes without. */
export function capabilities(engine, binary, profile) {
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
    : { "moz:firefoxOptions": { binary, args: ["-headless", ...(profile ? ["-profile", profile] : [])] } };
}

/**
 * Starts a browser.
 *
 * @param engine `"chrome"` or `"firefox"`
 * @param options.profile a folder for what is to outlive the browser @default none: nothing does
 * @returns `name` with its version; `open(url)` waits until the page has loaded; `evaluate(body, ...args)` runs the body
 * of an async function in the page (`arguments` are there) and gives what it returns, as JSON can carry it; `tab()` opens
 * another tab and goes there, `go(tab)` goes to one, `closeTab()` closes the present one; `kill()` ends the browser as a crash would.
 */
export async function start(engine, { seconds = 60, profile } = {}) {
  const found = ensureBrowser(engine);
  if (!found) throw missing(`there is no ${engine} with its driver on this machine`);
  // Browsers leave things behind in the folder for temporary files, so they get one of their own.
  const folder = mkdtempSync(join(tmpdir(), "eventferry-browser-"));
  let driver;
  const stop = () => {
    if (driver) end(driver);
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  process.once("exit", stop);
  try {
    let port;
    // The port that chromedriver gets may be taken under IPv6, and then it ends.
    for (let tries = 5; port === undefined; tries--) {
      driver = startProgram(found.driver, ["--port=0"], { env: { ...process.env, TMPDIR: folder } });
      port = await listening(driver, LISTENS[engine], seconds).catch((error) => {
        end(driver);
        if (tries === 1) throw error;
      });
    }
    const command = commands(`http://127.0.0.1:${port}`, seconds);
    const { sessionId, capabilities: got } = await command("POST", "/session", {
      capabilities: {
        alwaysMatch: {
          ...capabilities(engine, found.browser, profile),
          timeouts: { script: seconds * 1000, pageLoad: seconds * 1000 },
        },
      },
    });
    const session = `/session/${sessionId}`;
    return {
      name: `${got.browserName} ${got.browserVersion}`,
      open: (url) => command("POST", `${session}/url`, { url }),
      here: () => command("GET", `${session}/window`),
      async tab() {
        const { handle } = await command("POST", `${session}/window/new`, { type: "tab" });
        await command("POST", `${session}/window`, { handle });
        return handle;
      },
      go: (handle) => command("POST", `${session}/window`, { handle }),
      closeTab: () => command("DELETE", `${session}/window`),
      /** A command of the DevTools protocol; Chromium alone has it. */
      devTools: (cmd, params) => command("POST", `${session}/goog/cdp/execute`, { cmd, params }),
      kill() {
        for (const pid of descendants(driver.pid)) killed(pid);
        process.off("exit", stop);
        stop();
      },
      async evaluate(body, ...args) {
        // The outcome is carried over as a value, because the drivers garble errors in different ways.
        const script = `return (async function () { ${body} }).apply(null, arguments).then((value) => ({ value }), (error) => ({ problem: String(error) }));`;
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

/** All processes that one has started, and those that they have started. Linux only. */
function descendants(pid) {
  const parents = new Map();
  for (const name of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It has ended.
    }
  }
  const found = [];
  for (let some = [pid]; some.length > 0; found.push(...some))
    some = [...parents].filter(([, parent]) => some.includes(parent)).map(([child]) => child);
  return found;
}

/** Some processes of a browser end by themselves when others were killed. */
function killed(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

function listening(driver, says, seconds) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the driver of the browser was not ready within ${seconds} s`)),
      seconds * 1000,
    );
    driver.once("error", reject);
    let words = "";
    driver.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`the driver of the browser ended with exit code ${code}: ${words}`));
    });
    driver.stderr.on("data", (chunk) => (words = (words + chunk).slice(-500)));
    createInterface({ input: driver.stdout }).on("line", (line) => {
      const match = says.exec(line);
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
