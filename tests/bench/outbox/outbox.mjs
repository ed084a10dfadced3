// Compares the outbox with those of other libraries, in Node: the time to deliver, the time of `publish`, and the memory of
// waiting events.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { end, start } from "../../child.mjs";
import { quartiles } from "../measure.mjs";
import { inChild, inTurns, quartilesOf } from "../turns.mjs";

const here = import.meta.dirname;
const modules = join(here, "../node_modules");
/** Events that are not measured: they compile the hot code and open the connection. */
const WARMUP = 2000;

const versionOf = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8")).version;

/** Each `module` is one of `clients/`. */
const clients = () => [
  { key: "floor", name: "floor: array of texts, fetch", module: "floor" },
  { key: "floorWithIds", name: "the same with id and time", module: "floor", hasIdentity: true },
  { key: "opentelemetry", name: `OpenTelemetry logs ${versionOf("@opentelemetry/sdk-logs")}`, module: "opentelemetry" },
  { key: "segment", name: `Segment ${versionOf("@segment/analytics-node")}`, module: "segment" },
  { key: "memory", name: "eventferry, in memory", module: "eventferry", store: "memory" },
  { key: "file", name: "eventferry, in a file", module: "eventferry", store: "file" },
];
const CONTAINERS = [
  { key: "strings", name: "array of texts" },
  { key: "eventferry", name: "eventferry, in memory" },
];

/** A measurement that failed is reported to `note` and left out. */
export async function outbox({ quick = false, filter = "", note }) {
  const rounds = quick ? 1 : 5;
  const events = quick ? 10_000 : 100_000;
  const count = events.toLocaleString("en");
  const tables = {};
  for (const [key, title, make] of [
    ["delivery", `outbox: deliver ${count} small events over loopback`, () => delivery(rounds, events, note)],
    ["publish", "outbox: session.publish", () => publish(quick, note)],
    ["memory", `outbox: memory for ${count} events that wait`, () => memory(rounds, events, note)],
  ]) {
    if (!title.includes(filter)) continue;
    const found = await make();
    if (found) tables[key] = { ...found, title };
  }
  return tables;
}

/** Runs all clients, interleaved, each time in a new process. */
async function delivery(rounds, events, note) {
  const collector = start(process.execPath, [join(here, "collector.mjs")], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [port] = await Promise.race([
      createInterface({ input: collector.stdout })
        [Symbol.asyncIterator]()
        .next()
        .then(({ value }) => [value]),
      new Promise((_, reject) =>
        collector.once("exit", () => reject(new Error("the collector ended before it listened"))),
      ),
    ]);
    let runs = 0;
    const oneRun = async ({ key, name, ...client }) => {
      const url = `http://127.0.0.1:${port}/${++runs}`;
      const figures = withFolder((folder) =>
        inChild(join(here, "client.mjs"), { ...client, url, folder, events, warmup: WARMUP }),
      );
      const total = WARMUP + events;
      const { requests, bytes, received, lost } = await (await fetch(`${url}?total=${total}`)).json();
      return { ...figures, requests, bytes, lost, repeated: received - (total - lost) };
    };
    const found = await inTurns(clients(), rounds, oneRun, note);
    const cpuOf = (key, round) => found.find((row) => row.key === key)?.runs[round].cpu ?? NaN;
    return {
      events,
      rows: found.map(({ key, name, runs }) => ({
        key,
        name,
        overOpenTelemetry: quartiles(runs.map(({ cpu }, round) => cpuOf("opentelemetry", round) / cpu)),
        overFloor: quartiles(runs.map(({ cpu }, round) => cpuOf("floor", round) / cpu)),
        ...quartilesOf(runs, ["cpu", "wall", "peak", "requests", "bytes"]),
        lost: Math.max(...runs.map(({ lost }) => lost)),
        repeated: Math.max(...runs.map(({ repeated }) => repeated)),
      })),
    };
  } finally {
    end(collector);
  }
}

function publish(quick, note) {
  const figures = inChild(join(here, "publish.mjs"), { quick });
  if (figures.problem === undefined) return figures;
  note(`\x1b[31m✗\x1b[0m session.publish: ${figures.problem}`);
  process.exitCode = 1;
}

async function memory(rounds, events, note) {
  const found = await inTurns(
    CONTAINERS,
    rounds,
    ({ key }) => inChild(join(here, "memory.mjs"), { container: key, events }, ["--expose-gc"]),
    note,
  );
  const ofStrings = found.find(({ key }) => key === "strings").runs;
  return {
    events,
    rows: found.map(({ key, name, runs }) => ({
      key,
      name,
      keptOverStrings: quartiles(runs.map(({ kept }, round) => kept / ofStrings[round].kept)),
      peakOverStrings: quartiles(runs.map(({ peak }, round) => peak / ofStrings[round].peak)),
      ...quartilesOf(runs, ["kept", "peak"]),
    })),
  };
}

/** In `node_modules`, because a temporary folder may be in memory, where writing takes no time. */
function withFolder(use) {
  mkdirSync(join(modules, ".cache"), { recursive: true });
  const folder = mkdtempSync(join(modules, ".cache/outbox-"));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
