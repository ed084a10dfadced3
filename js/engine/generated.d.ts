/** What the build generates: glue by wasm-bindgen, and the modules themselves. */

declare module "*/wasm/codecs.glue.js" {
  export const initSync: import("./instance.js").Glue["initSync"];
  export const exportsNow: import("./instance.js").Glue["exportsNow"];
  export const __wbg_reset_state: import("./instance.js").Glue["__wbg_reset_state"];
}

declare module "*/wasm/codecs.inline.js" {
  export const bytes: () => Uint8Array<ArrayBuffer>;
}

declare module "*/wasm/full.glue.js" {
  type Glue = import("./instance.js").FullGlue;
  export const initSync: Glue["initSync"];
  export const exportsNow: Glue["exportsNow"];
  export const __wbg_reset_state: Glue["__wbg_reset_state"];
  export const CallsPort: Glue["CallsPort"];
  export const OutboxPort: Glue["OutboxPort"];
  export const StreamPort: Glue["StreamPort"];
  export const MarksPort: Glue["MarksPort"];
  export const PipelineSinkPort: Glue["PipelineSinkPort"];
  export const channel_name: Glue["channel_name"];
  export const glassflow_url: Glue["glassflow_url"];
  export const glassflow_event_spans: Glue["glassflow_event_spans"];
  export const events_read: Glue["events_read"];
  export const events_respond: Glue["events_respond"];
  export const request_init: Glue["request_init"];
  export const response_head: Glue["response_head"];
  export const exchange: Glue["exchange"];
  export const digest: Glue["digest"];
}

declare module "*/wasm/full.inline.js" {
  export const bytes: () => Uint8Array<ArrayBuffer>;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

declare module "*.wasm?module" {
  const module: WebAssembly.Module;
  export default module;
}
