// Many events over a server that has a bad day: what arrives, what is lost, what comes twice.
//
//   node tests/faults/run.mjs soak                      10 000 events, as `npm test` does
//   node tests/faults/run.mjs soak --full [--seed=7]    100 000 events
//   node tests/faults/run.mjs soak --full --rivals      and the original aiosfstream and CometD's client beside it
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { end, start } from "../child.mjs";
import { python } from "../python.mjs";
import { hold, pause } from "./collector.mjs";

const CHANNELS = "/event/Order_Placed__e,/topic/OrderUpdates,/data/OrderChangeEvent";
const PACKAGES = ["aiosfstream==0.5.0", "aiohttp==3.14.5"];
/** Who has been silent for so long after the last event was published, will not say anything any more. */
const SILENCE_MS = 30_000;
const START_MS = 20_000;
/** So many are kept of what a client says beside events. */
const MOST_PROBLEMS = 1000;

const here = (name) => fileURLToPath(new URL(`soak/${name}`, import.meta.url));
const option = (name) => process.argv.find((argument) => argument.startsWith(`--${name}`));

export async function soak(tally) {
  const seed = Number(option("seed=")?.slice("--seed=".length) ?? 7);
  const total = option("full") ? 100_000 : 10_000;
  const count = total.toLocaleString("en");
  await tally.check(`${count} events over a server that has a bad day, seed ${seed}`, async () => {
    const { findings, remark } = await listen(seed, total, process.execPath, [here("eventferry.mjs")]);
    hold(
      findings.lost === 0 && findings.repeated === 0 && findings.disordered === 0 && findings.problems.length === 0,
      remark,
    );
    return remark;
  });
  if (!option("rivals")) return;
  // These are told, not judged.
  const beside = (name, program, ...args) =>
    tally.check(`beside it: ${name}`, async () => (await listen(seed, total, await program(), args)).remark);
  const node = () => process.execPath;
  const ofOriginal = () => python("aiosfstream", PACKAGES);
  await beside("aiosfstream 0.5.0", ofOriginal, here("aiosfstream.py"), "plain");
  await beside(
    "aiosfstream 0.5.0, with a program around it that opens it again",
    ofOriginal,
    here("aiosfstream.py"),
    "helped",
  );
  await beside("CometD 9, as guides show it", node, here("cometd.mjs"), "plain");
  await beside("CometD 9, with replay ids and logins by the program around it", node, here("cometd.mjs"), "helped");
}

/** What a client got from a fresh server. */
async function listen(seed, total, program, [script, ...more]) {
  const server = start(process.execPath, [here("server.mjs"), seed, total], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const findings = new Findings();
  const client = {};
  try {
    const { port } = await message(server);
    // Cookies of numeric hosts are not kept by aiohttp.
    Object.assign(client, run(program, [script, `http://localhost:${port}`, CHANNELS, ...more], findings));
    await Promise.race([client.ready, client.ended, pause(START_MS)]);
    hold(findings.isReady, `it did not get ready: ${findings.problems}`);
    const begun = Date.now();
    server.send("go");
    const { published, troubles } = await message(server);
    const publishedAt = Date.now();
    while (
      findings.missing(published) > 0 &&
      client.isRunning() &&
      Date.now() - Math.max(findings.lastAt, publishedAt) < SILENCE_MS
    )
      await pause(50);
    findings.close(published);
    const seconds = ((findings.lastAt - begun) / 1000).toFixed(0);
    const count = Object.values(troubles).reduce((sum, times) => sum + times, 0);
    const { received, lost, repeated, disordered, problems } = findings;
    const remark =
      `${received} of ${total} received, ${lost} lost, ${repeated} twice, ${disordered} out of order, in ${seconds} s with ${count} troubles` +
      (problems.length > 0
        ? `; it said ${problems.length} things like: ${problems.slice(0, 25).join(" | ").slice(0, 2500)}`
        : "");
    return { findings, troubles, remark };
  } finally {
    if (client.child) end(client.child);
    end(server);
  }
}

/** Which events of each channel have come. */
class Findings {
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
    if (!channel) return void (this.problems.length < MOST_PROBLEMS && this.problems.push(line));
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

function run(program, args, findings) {
  const child = start(program, args);
  let isRunning = true;
  const ended = new Promise((resolve) => child.once("close", resolve)).then(() => (isRunning = false));
  let isReady;
  const ready = new Promise((resolve) => (isReady = resolve));
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on("line", (line) => (findings.read(line), findings.isReady && isReady()));
  return { child, ended, ready, isRunning: () => isRunning };
}

function message(child) {
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
}
