// Many events from a server with frequent failures: counts received, lost, repeated and reordered events.
//
//   node tests/faults/run.mjs soak                      10 000 events, as `npm test` does
//   node tests/faults/run.mjs soak --full [--seed=7]    100 000 events
//   node tests/faults/run.mjs soak --full --compare     also with the original aiosfstream and CometD's client
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { end, start } from "../child.mjs";
import { python } from "../python.mjs";
import { ensure, sleep } from "./collector.mjs";

const CHANNELS = "/event/Order_Placed__e,/topic/OrderUpdates,/data/OrderChangeEvent";
const PACKAGES = ["aiosfstream==0.5.0", "aiohttp==3.14.5"];
/** Without an event for this long after the last one was published, a client is considered stuck. */
const SILENCE_MS = 30_000;
const START_MS = 20_000;
/** Number of output lines other than events that are kept. */
const MAX_PROBLEMS = 1000;

const here = (name) => fileURLToPath(new URL(`soak/${name}`, import.meta.url));
const option = (name) => process.argv.find((argument) => argument.startsWith(`--${name}`));

export async function soak(tally) {
  const seed = Number(option("seed=")?.slice("--seed=".length) ?? 7);
  const total = option("full") ? 100_000 : 10_000;
  const count = total.toLocaleString("en");
  await tally.check(
    `none of ${count} events from a server with frequent failures is lost, repeated or reordered (seed ${seed})`,
    async () => {
      const { log, remark } = await listen(seed, total, process.execPath, [here("eventferry.mjs")]);
      ensure(log.lost === 0 && log.repeated === 0 && log.disordered === 0 && log.problems.length === 0, remark);
      return remark;
    },
  );
  if (!option("compare")) return;
  // The results of the other clients are printed and not checked.
  const compare = (name, program, ...args) =>
    tally.check(`for comparison: ${name}`, async () => (await listen(seed, total, await program(), args)).remark);
  const node = () => process.execPath;
  const originalPython = () => python("aiosfstream", PACKAGES);
  await compare("aiosfstream 0.5.0", originalPython, here("aiosfstream_client.py"), "plain");
  await compare(
    "aiosfstream 0.5.0, reopened by the program",
    originalPython,
    here("aiosfstream_client.py"),
    "restarting",
  );
  await compare("CometD 9, as in the guides", node, here("cometd.mjs"), "plain");
  await compare("CometD 9, with replay ids and logins by the program", node, here("cometd.mjs"), "restarting");
}

/** Runs a client against a new server. Returns what it received. */
async function listen(seed, total, program, [script, ...more]) {
  const server = start(process.execPath, [here("server.mjs"), seed, total], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const log = new ReceiveLog();
  const client = {};
  try {
    const { port } = await message(server);
    // By name, because aiohttp ignores cookies of numeric hosts.
    Object.assign(client, run(program, [script, `http://localhost:${port}`, CHANNELS, ...more], log));
    await Promise.race([client.ready, client.ended, sleep(START_MS)]);
    ensure(log.isReady, `the client did not become ready: ${log.problems}`);
    const startedAt = Date.now();
    server.send("go");
    const { published, failures } = await message(server);
    const publishedAt = Date.now();
    while (
      log.missing(published) > 0 &&
      client.isRunning() &&
      Date.now() - Math.max(log.lastAt, publishedAt) < SILENCE_MS
    )
      await sleep(50);
    log.close(published);
    const seconds = ((log.lastAt - startedAt) / 1000).toFixed(0);
    const count = Object.values(failures).reduce((sum, times) => sum + times, 0);
    const { received, lost, repeated, disordered, problems } = log;
    const remark =
      `${received} of ${total} received, ${lost} lost, ${repeated} repeated, ${disordered} out of order, in ${seconds} s with ${count} failures` +
      (problems.length > 0
        ? `; it printed ${problems.length} lines such as ${problems.slice(0, 25).join(" | ").slice(0, 2500)}`
        : "");
    return { log, remark };
  } finally {
    if (client.child) end(client.child);
    end(server);
  }
}

/** The received events of each channel. */
class ReceiveLog {
  isReady = false;
  received = 0;
  repeated = 0;
  disordered = 0;
  lost = 0;
  lastAt = 0;
  problems = [];
  #channels = new Map(CHANNELS.split(",").map((channel) => [channel, { seen: new Set(), highest: 0 }]));

  read(line) {
    if (line === "ready") return void (this.isReady = true);
    const [, name, text] = /^(\/\S+) (\d+)$/.exec(line) ?? [];
    const channel = this.#channels.get(name);
    if (!channel) return void (this.problems.length < MAX_PROBLEMS && this.problems.push(line));
    const number = Number(text);
    this.lastAt = Date.now();
    if (channel.seen.has(number)) return void this.repeated++;
    this.received++;
    channel.seen.add(number);
    if (number < channel.highest) this.disordered++;
    else channel.highest = number;
  }

  missing(published) {
    return published.reduce((sum, [channel, count]) => sum + count - this.#channels.get(channel).seen.size, 0);
  }

  close(published) {
    this.lost = this.missing(published);
  }
}

function run(program, args, log) {
  const child = start(program, args);
  let isRunning = true;
  const ended = new Promise((resolve) => child.once("close", resolve)).then(() => {
    isRunning = false;
  });
  const ready = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", (line) => {
        log.read(line);
        if (log.isReady) resolve();
      });
  });
  return { child, ended, ready, isRunning: () => isRunning };
}

function message(child) {
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`the server exited with code ${code}`)));
  });
}
