// A page without a bundler that fetches the module by URL.
import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

globalThis.report = smokeSlim(api, "/node_modules/eventferry/dist/wasm/full.wasm");
