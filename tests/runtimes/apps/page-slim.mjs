// A page without a bundler that has the module fetched.
import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

globalThis.report = smokeSlim(api, "/node_modules/eventferry/dist/wasm/full.wasm");
