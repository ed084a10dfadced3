// For servers: reads the module from a file of the package.
import { readFile } from "node:fs/promises";
import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

const file = new URL(import.meta.resolve("eventferry/eventferry.wasm"));
console.log(JSON.stringify(await smokeSlim(api, readFile(file))));
