// Builds the package a second time, in another folder, and compares the WebAssembly modules with those in dist/: they must
// be the same bytes wherever they are built. Then ends a build in its middle: dist/ must stay what it was.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MODULES } from "../js/build/modules.mjs";
import { runChild } from "./child.mjs";
import { Tally } from "./tally.mjs";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const tally = new Tally();
const folder = mkdtempSync(join(tmpdir(), "eventferry-reproducible-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

let isBuilt = false;
await tally.check("the package builds in another folder", async () => {
  const files = execFileSync("git", ["ls-files", "-z"], { encoding: "utf8" }).split("\0").filter(existsSync);
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(file, join(folder, file));
  }
  symlinkSync(join(process.cwd(), "node_modules"), join(folder, "node_modules"));
  const { ok, output, problem } = await runChild(process.execPath, ["js/build/build.mjs"], {
    cwd: folder,
    minutes: 15,
    show: false,
  });
  if (!ok) throw new Error(`${problem}\n${output}`);
  isBuilt = true;
});
for (const name of isBuilt ? Object.keys(MODULES) : []) {
  await tally.check(`the module ${name} has the same bytes`, () => {
    const [here, there] = [".", folder].map((root) => digest(join(root, `dist/wasm/${name}.wasm`)));
    if (here !== there) throw new Error(`SHA-256 ${here} in dist/, ${there} in another folder`);
    return here.slice(0, 16);
  });
}
if (isBuilt)
  for (const step of ["compiling the TypeScript", "bundling for Node", "bundling the demo"])
    await tally.check(`a build that is ended while it is ${step} leaves dist/ as it was`, async () => {
      const before = digestsOf(join(folder, "dist"));
      const build = spawn(process.execPath, ["js/build/build.mjs", "--js-only"], {
        cwd: folder,
        stdio: ["ignore", "pipe", "inherit"],
      });
      const exit = once(build, "exit");
      let output = "";
      for await (const chunk of build.stdout) {
        output += chunk;
        if (output.includes(step)) build.kill("SIGKILL");
      }
      const [code] = await exit;
      if (code !== null) throw new Error(`the build ended with ${code}: ${output}`);
      if (digestsOf(join(folder, "dist")) !== before) throw new Error("dist/ has changed");
    });
tally.finish();

/** The names and contents of all files. */
function digestsOf(path) {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const names = files.map(({ parentPath, name }) => join(parentPath, name)).sort();
  return names.map((name) => `${name} ${digest(name)}`).join("\n");
}

function digest(path) {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
