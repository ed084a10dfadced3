// A client of Salesforce is killed again and again, with its markers in a file, while events are published.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createEmulator } from "../../dist/entries/testing.js";
import { start } from "../child.mjs";
import { hold, pause } from "./collector.mjs";

const program = fileURLToPath(new URL("replay-listener.mjs", import.meta.url));
const CHANNELS = ["/event/Order_Placed__e", "/event/Order_Shipped__e"];
const KILLS = { manual: 50, next: 20 };
/** Longest that the last life may take. */
const PATIENCE_MS = 20_000;

export async function replay(tally) {
  await Promise.all([
    tally.check(`${KILLS.manual} kills of a listener that acknowledges`, () => lives("manual")),
    tally.check(`${KILLS.next} kills of a listener that asks for the next event when it is done`, () => lives("next")),
  ]);
}

async function lives(policy) {
  const kills = KILLS[policy];
  const emulator = createEmulator();
  const { url } = await emulator.listen();
  const folder = mkdtempSync(join(tmpdir(), "eventferry-replay-"));
  const publisher = new Publisher(emulator);
  const found = new Findings();
  try {
    const base = new URL("salesforce", url).href;
    for (let kill = 0; kill < kills; kill++) found.add(await live(kill, base, folder, policy));
    publisher.stop();
    const { lines, ended, child } = run(base, folder, policy, publisher.count);
    await Promise.race([ended, pause(PATIENCE_MS)]);
    child.kill("SIGKILL");
    await ended;
    hold(
      lines.at(-1) === "end",
      `the last life had not everything after ${PATIENCE_MS / 1000} s, its last words were: ${lines.at(-1)}`,
    );
    found.add(lines);
    for (const channel of CHANNELS)
      hold(
        found.last(channel) === publisher.count,
        `${channel} ended with ${found.last(channel)} of ${publisher.count}`,
      );
    const { received, repeated, livesWithEvents } = found;
    hold(livesWithEvents > kills / 2, `only ${livesWithEvents} of ${kills} lives were long enough to receive anything`);
    return `${2 * publisher.count} published, ${received} received in ${livesWithEvents} lives, ${repeated} of them again, none missing`;
  } finally {
    publisher.stop();
    rmSync(folder, { recursive: true, force: true });
    await emulator.close();
  }
}

/** Publishes to all channels alike until it is told to stop: events with the numbers 1 to `count`. */
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

/** What all lives together have said, checked as it is added. */
class Findings {
  received = 0;
  repeated = 0;
  livesWithEvents = 0;
  /** For each channel the number of the last event that was handed out, and of the last that was acknowledged for sure. */
  #channels = new Map(CHANNELS.map((channel) => [channel, { handed: 0, acknowledged: 0 }]));

  last(channel) {
    return this.#channels.get(channel).handed;
  }

  /** A life goes on where the one before has acknowledged last, or later, and leaves nothing out from there. */
  add(lines) {
    const begun = new Set();
    const before = new Map(CHANNELS.map((channel) => [channel, { ...this.#channels.get(channel), at: 0 }]));
    for (const line of lines) {
      const [, mark, channel, text] = /^([+=])(\S+) (\d+)$/.exec(line) ?? [];
      if (!mark) continue;
      const number = Number(text);
      const all = this.#channels.get(channel);
      const here = before.get(channel);
      if (mark === "=") {
        all.acknowledged = number;
        continue;
      }
      if (begun.has(channel)) {
        hold(number === here.at + 1, `${channel}: after ${here.at} came ${number}`);
      } else {
        begun.add(channel);
        hold(number <= here.handed + 1, `${channel}: the events from ${here.handed + 1} to ${number - 1} are missing`);
        hold(number > here.acknowledged, `${channel}: ${number} came again, but ${here.acknowledged} was acknowledged`);
      }
      here.at = number;
      this.received++;
      if (number <= here.handed) this.repeated++;
      else all.handed = number;
    }
    if (begun.size > 0) this.livesWithEvents++;
  }
}

/** What a life has said before it was killed. */
async function live(kill, ...args) {
  const { child, lines, ready, ended } = run(...args);
  // Some do not even get as far as to listen.
  if (kill % 5 > 0) await Promise.race([ready, ended, pause(PATIENCE_MS)]);
  await pause(Math.random() * 150);
  child.kill("SIGKILL");
  await ended;
  hold(kill % 5 === 0 || lines.includes("ready"), `a life did not get ready: ${lines.at(-1)}`);
  return lines;
}

function run(url, folder, policy, last) {
  const child = start(process.execPath, [
    program,
    url,
    join(folder, "markers"),
    policy,
    ...(last === undefined ? [] : [last]),
  ]);
  const lines = [];
  const ready = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", (line) => (lines.push(line), line === "ready" && resolve()));
  });
  const ended = new Promise((resolve) => child.once("close", resolve)).then(() => {
    const problem = lines.find((line) => !/^([+=]|ready$|end$)/.test(line));
    hold(problem === undefined, `a life said: ${problem}`);
  });
  return { child, lines, ready, ended };
}
