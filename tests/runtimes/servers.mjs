// The adapters of `eventferry/node` against the frameworks, and with node:http of Deno and Bun.
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runChild } from "../child.mjs";
import { checkReport } from "./programs.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const bin = (name) => join(here, "node_modules/.bin", name);

const PROGRAMS = [
  ["Express 4 and 5, Fastify and node:http", process.execPath, ["servers.mjs", "--frameworks"]],
  [
    "node:http of Deno",
    bin("deno"),
    ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", "--allow-env", "servers.mjs"],
  ],
  ["node:http of Bun", bin("bun"), ["servers.mjs"]],
];

export async function servers({ app }, tally) {
  prepare(app);
  for (const [name, program, args] of PROGRAMS) {
    await tally.check(`eventferry/node: ${name}`, async () => {
      const { ok, output, problem } = await runChild(program, args, { cwd: app, minutes: 3, show: false });
      if (!ok) throw new Error(`${problem}\n${output}`);
      return checkReport(JSON.parse(output.trim().split("\n").at(-1)));
    });
  }
}

/** Puts the program, its cases, the blocks of the documentation and the frameworks into the application. */
function prepare(app) {
  cpSync(join(here, "servers/program.mjs"), join(app, "servers.mjs"));
  cpSync(join(here, "../js/server-cases.mjs"), join(app, "server-cases.mjs"));
  const page = readFileSync(join(here, "../../www/docs/servers.md"), "utf8");
  for (const [, name, code] of page.matchAll(/^```js run=(express|fastify)\n(.*?)^```$/gms))
    writeFileSync(join(app, `block-${name}.mjs`), code);
  const modules = join(here, "servers/node_modules");
  for (const name of readdirSync(modules).filter((name) => /^(express4?|fastify|hono)$/.test(name)))
    symlinkSync(join(modules, name), join(app, "node_modules", name));
}
