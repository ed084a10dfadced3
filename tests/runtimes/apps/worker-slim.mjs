import module from "eventferry/eventferry.wasm";
import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

export default { fetch: async () => Response.json(await smokeSlim(api, module)) };
