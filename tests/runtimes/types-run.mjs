// Compiles the declarations with each compiler from 5.2 on, under the types of each runtime, and with Deno.
import { fileURLToPath } from "node:url";
import { Tally } from "../tally.mjs";
import { installPackage } from "./install.mjs";
import { fullTypes } from "./types.mjs";

const deno = fileURLToPath(new URL("node_modules/.bin/deno", import.meta.url));
const tally = new Tally();
await fullTypes(await installPackage(), tally, deno);
tally.finish();
