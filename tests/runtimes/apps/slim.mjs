// For servers: reads the modules from files of the package.
import { readFile } from "node:fs/promises";
import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

const file = (name) => readFile(new URL(import.meta.resolve(`eventferry/wasm/${name}.wasm`)));
const modules = {
  codecs: file("codecs"),
  publish: file("publish"),
  glassflow: file("glassflow"),
  eventsProtocol: file("events-protocol"),
  streams: file("streams"),
};
console.log(JSON.stringify(await smokeSlim(api, modules)));
