// A page without a bundler that fetches the modules from a folder.
import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

globalThis.report = smokeSlim(api, "/node_modules/eventferry/dist/wasm/");
