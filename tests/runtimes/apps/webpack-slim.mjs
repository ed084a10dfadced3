import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

globalThis.report = smokeSlim(api, fetch(new URL("eventferry/eventferry.wasm", import.meta.url)));
