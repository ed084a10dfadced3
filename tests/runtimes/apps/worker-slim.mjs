import codecs from "eventferry/wasm/codecs.wasm";
import publish from "eventferry/wasm/publish.wasm";
import glassflow from "eventferry/wasm/glassflow.wasm";
import eventsProtocol from "eventferry/wasm/events-protocol.wasm";
import streams from "eventferry/wasm/streams.wasm";
import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

const modules = { codecs, publish, glassflow, eventsProtocol, streams };
export default { fetch: async () => Response.json(await smokeSlim(api, modules)) };
