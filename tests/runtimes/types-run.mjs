// Compiles the declarations with each compiler from 5.2 on, under the types of each runtime, and with Deno. With `--write`,
// writes their table in www/docs/compatibility.md.
import { fileURLToPath } from "node:url";
import { Tally } from "../tally.mjs";
import { writeTable } from "./compatibility.mjs";
import { installPackage } from "./install.mjs";
import { fullTypes } from "./types.mjs";

const deno = fileURLToPath(new URL("node_modules/.bin/deno", import.meta.url));
const tally = new Tally();
await fullTypes(await installPackage(), tally, deno);
if (process.argv.includes("--write")) writeTable("types", tally);
tally.finish();
