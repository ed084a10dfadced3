// Measures where the time of a decode, an encode, a publish and a poll goes, in Node.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { end, start } from "../../child.mjs";

const here = import.meta.dirname;
const TIMEOUT_MS = 120_000;

/** The tables, by the name of the runtime. */
export async function steps({ quick, filter }) {
  const server = start(process.execPath, [join(here, "server.mjs")], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const { value: port } = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next();
    if (port === undefined) throw new Error("the server ended before it listened");
    const options = { quick, filter, url: `http://127.0.0.1:${port}/` };
    return { node: inNode(options) };
  } finally {
    end(server);
  }
}

function inNode(options) {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [join(here, "main.mjs"), JSON.stringify(options)],
    { encoding: "utf8", timeout: TIMEOUT_MS },
  );
  if (status !== 0) throw new Error(`the steps ended with ${signal ?? status}: ${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}
