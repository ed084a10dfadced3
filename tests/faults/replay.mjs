// A Salesforce client with its replay markers in a file is killed repeatedly while events are published: it receives every
// event, and none again that was acknowledged.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createEmulator } from "../../dist/entries/testing.js";
import { start } from "../child.mjs";
import { ensure, sleep } from "./collector.mjs";

const PROGRAM = fileURLToPath(new URL("replay-listener.mjs", import.meta.url));
const CHANNELS = ["/event/Order_Placed__e", "/event/Order_Shipped__e"];
const KILLS = { manual: 50, next: 20 };
/** Time limit of the last process. */
const TIMEOUT_MS = 20_000;

export async function replay(tally) {
  await Promise.all([
    tally.check(`a listener with manual acknowledgement misses no event in ${KILLS.manual} kills`, () =>
      killRepeatedly("manual"),
    ),
    tally.check(`a listener that acknowledges by asking for the next event misses none in ${KILLS.next} kills`, () =>
      killRepeatedly("next"),
    ),
  ]);
}

async function killRepeatedly(policy) {
  const kills = KILLS[policy];
  const emulator = createEmulator();
  const { url } = await emulator.listen();
  const folder = mkdtempSync(join(tmpdir(), "eventferry-replay-"));
  const publisher = new Publisher(emulator);
  const log = new ReceiveLog();
  try {
    const base = new URL("salesforce", url).href;
    for (let kill = 0; kill < kills; kill++) log.add(await runUntilKilled(kill, base, folder, policy));
    publisher.stop();
    const { lines, ended, child } = run(base, folder, policy, publisher.count);
    await Promise.race([ended, sleep(TIMEOUT_MS)]);
    child.kill("SIGKILL");
    await ended;
    ensure(
      lines.at(-1) === "end",
      `the last process did not receive everything within ${TIMEOUT_MS / 1000} s; its last line is ${lines.at(-1)}`,
    );
    log.add(lines);
    for (const channel of CHANNELS)
      ensure(log.last(channel) === publisher.count, `${channel} ended with ${log.last(channel)} of ${publisher.count}`);
    const { received, repeated, receivingProcesses } = log;
    ensure(receivingProcesses > kills / 2, `only ${receivingProcesses} of ${kills} processes received anything`);
    return `${2 * publisher.count} published, ${received} received by ${receivingProcesses} processes, ${repeated} of them repeated, none missing`;
  } finally {
    publisher.stop();
    rmSync(folder, { recursive: true, force: true });
    await emulator.close();
  }
}

/** Publishes events with the numbers 1 to `count` to all channels until it is stopped. */
class Publisher {
  count = 0;
  #timer;

  constructor({ salesforce }) {
    this.#timer = setInterval(() => {
      for (let burst = Math.random() < 0.05 ? 10 : 1; burst > 0; burst--) {
        this.count++;
        for (const channel of CHANNELS) salesforce.publish(channel, { Number: this.count, Padding: "x".repeat(200) });
      }
    }, 10);
  }

  stop() {
    clearInterval(this.#timer);
  }
}

/** The output of all processes, checked as it is added. */
class ReceiveLog {
  received = 0;
  repeated = 0;
  receivingProcesses = 0;
  /** For each channel the numbers of the last received event and of the last event whose acknowledgement was saved. */
  #channels = new Map(CHANNELS.map((channel) => [channel, { received: 0, acknowledged: 0 }]));

  last(channel) {
    return this.#channels.get(channel).received;
  }

  /** A process starts after the last saved acknowledgement of the previous ones, or later, and skips nothing from tprevious. */
  add(lines) {
    const started = new Set();
    const before = new Map(CHANNELS.map((channel) => [channel, { ...this.#channels.get(channel), at: 0 }]));
    for (const line of lines) {
      const [, mark, channel, text] = /^([+=])(\S+) (\d+)$/.exec(line) ?? [];
      if (!mark) continue;
      const number = Number(text);
      const total = this.#channels.get(channel);
      const previous = before.get(channel);
      if (mark === "=") {
        total.acknowledged = number;
        continue;
      }
      if (started.has(channel)) {
        ensure(number === previous.at + 1, `${channel}: after ${previous.at} came ${number}`);
      } else {
        started.add(channel);
        ensure(
          number <= previous.received + 1,
          `${channel}: the events from ${previous.received + 1} to ${number - 1} are missing`,
        );
        ensure(
          number > previous.acknowledged,
          `${channel}: ${number} was repeated, but ${previous.acknowledged} was acknowledged`,
        );
      }
      previous.at = number;
      this.received++;
      if (number <= previous.received) this.repeated++;
      else total.received = number;
    }
    if (started.size > 0) this.receivingProcesses++;
  }
}

/** Runs a listener and kills it. Returns its output. */
async function runUntilKilled(kill, ...args) {
  const { child, lines, ready, ended } = run(...args);
  // Every fifth process is killed before it is ready.
  if (kill % 5 > 0) await Promise.race([ready, ended, sleep(TIMEOUT_MS)]);
  await sleep(Math.random() * 150);
  child.kill("SIGKILL");
  await ended;
  ensure(kill % 5 === 0 || lines.includes("ready"), `a process did not become ready: ${lines.at(-1)}`);
  return lines;
}

function run(url, folder, policy, last) {
  const child = start(process.execPath, [
    PROGRAM,
    url,
    join(folder, "markers"),
    policy,
    ...(last === undefined ? [] : [last]),
  ]);
  const lines = [];
  const ready = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        if (line === "ready") resolve();
      });
  });
  const ended = new Promise((resolve) => child.once("close", resolve)).then(() => {
    const problem = lines.find((line) => !/^([+=]|ready$|end$)/.test(line));
    ensure(problem === undefined, `a process printed: ${problem}`);
  });
  return { child, lines, ready, ended };
}
