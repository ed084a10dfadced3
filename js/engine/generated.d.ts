/** What the build generates: glue by wasm-bindgen, and the modules themselves. */

declare module "*/wasm/codecs.glue.js" {
  type Glue = import("./ports.js").CodecsGlue;
  export const initSync: Glue["initSync"];
  export const exportsNow: Glue["exportsNow"];
  export const __wbg_reset_state: Glue["__wbg_reset_state"];
}

declare module "*/wasm/codecs.inline.js" {
  /** The end of its file, see `js/engine/module-file.ts`. */
  export const id: string;
  export const text: import("./module-bytes.js").ModuleText;
}

declare module "*/wasm/filters.glue.js" {
  type Glue = import("./ports.js").FiltersGlue;
  export const initSync: Glue["initSync"];
  export const exportsNow: Glue["exportsNow"];
  export const __wbg_reset_state: Glue["__wbg_reset_state"];
}

declare module "*/wasm/filters.inline.js" {
  /** The end of its file, see `js/engine/module-file.ts`. */
  export const id: string;
  export const text: import("./module-bytes.js").ModuleText;
}

declare module "*/wasm/publish.glue.js" {
  type PublishGlue = import("./ports.js").PublishGlue;
  export const initSync: PublishGlue["initSync"];
  export const exportsNow: PublishGlue["exportsNow"];
  export const __wbg_reset_state: PublishGlue["__wbg_reset_state"];
  export const CallsPort: PublishGlue["CallsPort"];
  export const OutboxPort: PublishGlue["OutboxPort"];
}

declare module "*/wasm/publish.inline.js" {
  /** The end of its file, see `js/engine/module-file.ts`. */
  export const id: string;
  export const text: import("./module-bytes.js").ModuleText;
}

declare module "*/wasm/glassflow.glue.js" {
  type GlassflowGlue = import("./ports.js").GlassflowGlue;
  export const initSync: GlassflowGlue["initSync"];
  export const exportsNow: GlassflowGlue["exportsNow"];
  export const __wbg_reset_state: GlassflowGlue["__wbg_reset_state"];
  export const PipelineSinkPort: GlassflowGlue["PipelineSinkPort"];
  export const glassflow_url: GlassflowGlue["glassflow_url"];
  export const glassflow_event_spans: GlassflowGlue["glassflow_event_spans"];
}

declare module "*/wasm/glassflow.inline.js" {
  /** The end of its file, see `js/engine/module-file.ts`. */
  export const id: string;
  export const text: import("./module-bytes.js").ModuleText;
}

declare module "*/wasm/glassflow-management.glue.js" {
  type GlassflowManagementGlue = import("./ports.js").GlassflowManagementGlue;
  export const initSync: GlassflowManagementGlue["initSync"];
  export const exportsNow: GlassflowManagementGlue["exportsNow"];
  export const __wbg_reset_state: GlassflowManagementGlue["__wbg_reset_state"];
  export const management_call: GlassflowManagementGlue["management_call"];
}

declare module "*/wasm/glassflow-management.inline.js" {
  /** The end of its file, see `js/engine/module-file.ts`. */
  export const id: string;
  export const text: import("./module-bytes.js").ModuleText;
}

declare module "*/wasm/events-protocol.glue.js" {
  type EventsProtocolGlue = import("./ports.js").EventsProtocolGlue;
  export const initSync: EventsProtocolGlue["initSync"];
  export const exportsNow: EventsProtocolGlue["exportsNow"];
  export const __wbg_reset_state: EventsProtocolGlue["__wbg_reset_state"];
  export const CallsPort: EventsProtocolGlue["CallsPort"];
  export const events_read: EventsProtocolGlue["events_read"];
  export const events_respond: EventsProtocolGlue["events_respond"];
}

declare module "*/wasm/events-protocol.inline.js" {
  /** The end of its file, see `js/engine/module-file.ts`. */
  export const id: string;
  export const text: import("./module-bytes.js").ModuleText;
}

declare module "*/wasm/streams.glue.js" {
  type StreamsGlue = import("./ports.js").StreamsGlue;
  export const initSync: StreamsGlue["initSync"];
  export const exportsNow: StreamsGlue["exportsNow"];
  export const __wbg_reset_state: StreamsGlue["__wbg_reset_state"];
  export const StreamPort: StreamsGlue["StreamPort"];
  export const MarksPort: StreamsGlue["MarksPort"];
  export const channel_name: StreamsGlue["channel_name"];
}

declare module "*/wasm/streams.inline.js" {
  /** The end of its file, see `js/engine/module-file.ts`. */
  export const id: string;
  export const text: import("./module-bytes.js").ModuleText;
}

declare module "*/wasm/copy-ascii.inline.js" {
  export const text: import("./module-bytes.js").ModuleText;
}

declare module "*/wasm/read-module-text.js" {
  /** In Base64. */
  export const code: string;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

declare module "*.wasm?module" {
  const module: WebAssembly.Module;
  export default module;
}
