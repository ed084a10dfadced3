import codecs from "eventferry/wasm/codecs.wasm?url";
import publish from "eventferry/wasm/publish.wasm?url";
import glassflow from "eventferry/wasm/glassflow.wasm?url";
import eventsProtocol from "eventferry/wasm/events-protocol.wasm?url";
import streams from "eventferry/wasm/streams.wasm?url";
import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

globalThis.report = smokeSlim(api, { codecs, publish, glassflow, eventsProtocol, streams });
