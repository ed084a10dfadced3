// Follows the first steps of the README with the packed package, in an empty folder, with only Node and npm on the PATH.
// Two things differ: the tarball replaces the package of the registry, and the emulator listens on a free port.
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { runChild } from "../child.mjs";
import { startServer } from "../server-program.mjs";

export async function firstSteps({ folder, tarball }, tally) {
  await tally.check("the first steps of the README, with Node alone", () => follow(folder, tarball));
}

async function follow(folder, tarball) {
  const steps = readSteps();
  const place = mkdtempSync(join(folder, "first-steps-"));
  const env = { ...process.env, PATH: nodeAlone(folder) };
  const shell = async (command) => {
    const { ok, output, problem } = await runChild("/bin/sh", ["-c", command], { cwd: place, env, show: false });
    if (!ok) throw new Error(`${command}: ${problem}\n${output}`);
    return output.trim();
  };
  await shell(steps.install.replace(" eventferry", ` --no-audit --no-fund --prefer-offline ${tarball}`));
  let emulator = await startEmulator(`${steps.emulator} --port=0`, place, env);
  const { port } = new URL(emulator.url);
  writeFileSync(join(place, "order.mjs"), steps.program.replace("127.0.0.1:8787", `127.0.0.1:${port}`));
  try {
    await expect("the first run", shell(steps.run), "delivered 1, pending 0");
    await emulator.until(/received com\.example\.order\.created/);
    await emulator.stop();
    await expect("the run without an emulator", shell(steps.run), "delivered 0, pending 1");
    emulator = await startEmulator(`${steps.emulator} --port=${port}`, place, env);
    await expect("the run with the emulator again", shell(steps.run), "delivered 2, pending 0");
  } finally {
    await emulator.stop();
  }
}

/** The commands and the program of the README. */
function readSteps() {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const [, section] = /^## First steps\n(.*?)^## /ms.exec(readme);
  const commands = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, text]) => text.trim().split("\n"));
  const [, program] = /^```js run=readme\n(.*?)^```$/ms.exec(section);
  const [install, emulator, run, ...more] = commands;
  if (more.length > 0 || install !== "npm install eventferry" || run !== "node order.mjs")
    throw new Error(`this test does not know the commands of the README: ${commands.join("; ")}`);
  return { install, emulator, run, program };
}

/** A PATH with node, npm and npx, and what a shell needs. */
function nodeAlone(folder) {
  const bin = join(folder, "node-alone");
  mkdirSync(bin, { recursive: true });
  for (const name of ["node", "npm", "npx"]) symlinkSync(join(dirname(process.execPath), name), join(bin, name));
  return [bin, "/usr/bin", "/bin"].join(delimiter);
}

/** Starts the emulator and returns its URL. */
async function startEmulator(command, cwd, env) {
  const { match, ...server } = await startServer(command, /http:\/\/127\.0\.0\.1:\d+(?=[^]*Ctrl-C)/, { cwd, env });
  return { url: match[0], ...server };
}

async function expect(what, output, expected) {
  const shown = await output;
  if (shown !== expected) throw new Error(`${what} printed ${JSON.stringify(shown)}, not ${JSON.stringify(expected)}`);
}
