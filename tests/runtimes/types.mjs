// Compiles a program for each entry point under the types of each runtime, without the DOM library where the runtime has
// none, and with `skipLibCheck: false`: every declaration of the package is checked.
//
//   lightTypes   the newest compiler, each entry point alone and all of them in each environment: for `npm test`
//   fullTypes    all compilers from 5.2 on, all resolutions, each entry point in each environment, and Deno
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runChild } from "../child.mjs";

const here = join(dirname(fileURLToPath(import.meta.url)), "types");
const PROGRAMS = readdirSync(join(here, "programs"));
const NEWEST = "7";

/** The folder of the types in `types/node_modules`, and the libraries. */
const ENVIRONMENTS = {
  "a page": { lib: ["es2022", "dom"] },
  Node: { types: { node: "@types/node" }, lib: ["es2022"] },
  "Node 20": { types: { node: "@types/node-20" }, lib: ["es2022"] },
  Workers: { types: { "workers-types": "@cloudflare/workers-types" }, lib: ["es2022"] },
  Bun: { types: { "bun-types": "bun-types" }, lib: ["esnext"] },
};
/** kafkajs has types for Node only. */
const ONLY_IN = { "kafkajs.ts": ["Node", "Node 20", "Bun"] };

const RESOLUTIONS = {
  node10: { module: "commonjs", moduleResolution: "node10" },
  node16: { module: "node16", moduleResolution: "node16" },
  bundler: { module: "esnext", moduleResolution: "bundler" },
};

/** The newer types of runtimes need newer compilers. */
export const COMPILERS = {
  5.2: { environments: ["a page", "Node 20", "Workers"], resolutions: ["node10", "node16", "bundler"] },
  5.5: { environments: ["a page", "Node 20", "Workers"], resolutions: ["node10", "node16", "bundler"] },
  5.9: { environments: ["a page", "Node", "Workers", "Bun"], resolutions: ["node10", "node16", "bundler"] },
  6: { environments: ["a page", "Node", "Workers", "Bun"], resolutions: ["node10", "node16", "bundler"] },
  7: { environments: ["a page", "Node", "Workers", "Bun"], resolutions: ["node16", "bundler"] },
};

export async function lightTypes({ app, folder }, tally) {
  const place = prepare(app, folder);
  for (const environment of COMPILERS[NEWEST].environments)
    await check(tally, place, NEWEST, environment, "bundler", programsIn(environment));
  for (const program of programsIn("a page")) await check(tally, place, NEWEST, "a page", "bundler", [program]);
}

/** @param deno the path of Deno */
export async function fullTypes({ app, folder }, tally, deno) {
  const place = prepare(app, folder);
  for (const [compiler, { environments, resolutions }] of Object.entries(COMPILERS)) {
    for (const resolution of resolutions)
      await check(tally, place, compiler, "a page", resolution, programsIn("a page"));
    for (const environment of environments.slice(1))
      await check(tally, place, compiler, environment, "node16", programsIn(environment));
  }
  for (const environment of COMPILERS[NEWEST].environments)
    for (const program of programsIn(environment)) await check(tally, place, NEWEST, environment, "bundler", [program]);
  await tally.check("types: deno check", () => denoCheck(place, deno));
}

function programsIn(environment) {
  return PROGRAMS.filter((program) => ONLY_IN[program]?.includes(environment) ?? true);
}

/** A folder in which the packed package, its peers and no other types are installed. */
function prepare(app, folder) {
  const place = join(folder, "types");
  mkdirSync(join(place, "node_modules/@types"), { recursive: true });
  const peers = { kafkajs: join(here, "node_modules/kafkajs"), jose: join(here, "../../../node_modules/jose") };
  for (const name of readdirSync(join(app, "node_modules"))) peers[name] ??= join(app, "node_modules", name);
  for (const [name, target] of Object.entries(peers))
    if (!name.startsWith(".")) symlinkSync(target, join(place, "node_modules", name));
  for (const [environment, { types = {} }] of Object.entries(ENVIRONMENTS)) {
    const roots = join(place, "roots", environment);
    mkdirSync(roots, { recursive: true });
    for (const [name, target] of Object.entries(types))
      symlinkSync(join(here, "node_modules", target), join(roots, name));
  }
  cpSync(join(here, "programs"), place, { recursive: true });
  writeFileSync(join(place, "package.json"), '{ "private": true, "type": "module" }\n');
  return place;
}

async function check(tally, place, compiler, environment, resolution, programs) {
  const what = programs.length === 1 ? basename(programs[0], ".ts") : `${programs.length} programs`;
  const name = `types: TypeScript ${compiler}, ${environment}, ${resolution}, ${what}`;
  await tally.check(name, async () => {
    const { types = {}, lib } = ENVIRONMENTS[environment];
    const typeRoots = [join(place, "roots", environment)];
    const isNode10 = resolution === "node10";
    const config = {
      compilerOptions: {
        ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true, target: "es2022" },
        ...RESOLUTIONS[resolution],
        ...{ lib, types: Object.keys(types), typeRoots },
        // TypeScript 6 warns of node10, and 7 has it no more.
        ...(isNode10 && compiler === "6" && { ignoreDeprecations: "6.0" }),
      },
      files: programs,
    };
    writeFileSync(join(place, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(here, `node_modules/typescript-${compiler}/bin/tsc`);
    const { ok, output } = await runChild(process.execPath, [tsc, "-p", "."], { cwd: place, minutes: 2, show: false });
    if (!ok) throw new Error(output.split("\n").slice(0, 12).join("\n    "));
  });
}

async function denoCheck(place, deno) {
  const programs = programsIn("a page").filter((program) => program !== "wasm.ts");
  writeFileSync(join(place, "deno.json"), '{ "nodeModulesDir": "manual" }\n');
  const { ok, output } = await runChild(deno, ["check", "--quiet", "--all", ...programs], {
    cwd: place,
    minutes: 2,
    show: false,
  });
  if (!ok) throw new Error(output);
  return `${programs.length} programs`;
}

/** What a compiler is run with, for the table of the documentation. */
export function describeTypes(compiler) {
  const { environments, resolutions } = COMPILERS[compiler];
  return `types of ${environments.join(", ")}; ${resolutions.map((name) => `\`${name}\``).join(", ")}`;
}
