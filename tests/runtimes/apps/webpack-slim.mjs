import * as api from "eventferry/slim";
import { smokeSlim } from "./smoke.mjs";

globalThis.report = smokeSlim(api, {
  codecs: fetch(new URL("eventferry/wasm/codecs.wasm", import.meta.url)),
  publish: fetch(new URL("eventferry/wasm/publish.wasm", import.meta.url)),
  glassflow: fetch(new URL("eventferry/wasm/glassflow.wasm", import.meta.url)),
  eventsProtocol: fetch(new URL("eventferry/wasm/events-protocol.wasm", import.meta.url)),
  streams: fetch(new URL("eventferry/wasm/streams.wasm", import.meta.url)),
});
