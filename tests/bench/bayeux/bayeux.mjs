// Compares the streaming client with CometD's, in Node: the time until a listener has had the thousand events of a poll.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { end, start } from "../../child.mjs";
import { quartiles } from "../measure.mjs";
import { inChild, inTurns, quartilesOf } from "../turns.mjs";

const here = import.meta.dirname;
/** Polls that are not measured: they compile the hot code and open the connection. */
const WARMUP = 60;

const versionOf = (name) =>
  JSON.parse(readFileSync(join(here, "../node_modules", name, "package.json"), "utf8")).version;

/** Each `module` is one of `clients/`. */
const clients = () => [
  { key: "floor", name: "floor: fetch, JSON.parse, loop", module: "floor" },
  { key: "cometd", name: `CometD ${versionOf("cometd")}`, module: "cometd" },
  { key: "eventferry", name: "eventferry", module: "eventferry" },
];
const LISTENERS = {
  head: "a listener that reads channel and replay id",
  data: "a listener that reads all of the data",
};

/** A measurement that failed is reported to `note` and left out. */
export async function bayeux({ quick = false, filter = "", note }) {
  const rounds = quick ? 1 : 5;
  const polls = quick ? 30 : 150;
  const server = start(process.execPath, [join(here, "server.mjs")], { stdio: ["ignore", "pipe", "inherit"] });
  const tables = [];
  try {
    const [port] = await Promise.race([
      createInterface({ input: server.stdout })
        [Symbol.asyncIterator]()
        .next()
        .then(({ value }) => [value]),
      new Promise((_, reject) => server.once("exit", () => reject(new Error("the server ended before it listened")))),
    ]);
    for (const [wire, url] of [
      ["in memory", undefined],
      ["over loopback", `http://127.0.0.1:${port}`],
    ]) {
      for (const [reading, listener] of Object.entries(LISTENERS)) {
        const title = `streaming: an answer with 1,000 events of 1 KB ${wire}, ${listener}`;
        if (title.includes(filter))
          tables.push({ title, wire, reading, polls, rows: await compare({ url, reading, rounds, polls, note }) });
      }
    }
  } finally {
    end(server);
  }
  return tables;
}

async function compare({ rounds, note, ...options }) {
  let sum;
  const found = await inTurns(
    clients(),
    rounds,
    ({ module }) => {
      const figures = inChild(join(here, "client.mjs"), { ...options, module, warmup: WARMUP });
      sum ??= figures.sum;
      return figures.problem === undefined && figures.sum !== sum
        ? { problem: `it read ${figures.sum} and not ${sum}` }
        : figures;
    },
    note,
  );
  const cpuOf = (key, round) => found.find((row) => row.key === key)?.runs[round].cpu ?? NaN;
  return found.map(({ key, name, runs }) => ({
    key,
    name,
    overCometd: quartiles(runs.map(({ cpu }, round) => cpuOf("cometd", round) / cpu)),
    overFloor: quartiles(runs.map(({ cpu }, round) => cpuOf("floor", round) / cpu)),
    ...quartilesOf(runs, ["cpu", "wall", "peak"]),
  }));
}
