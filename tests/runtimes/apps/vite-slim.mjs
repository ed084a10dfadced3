import url from "eventferry/eventferry.wasm?url";
import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

globalThis.report = smokeSlim(api, url);
