/** `eventferry/glassflow` for every runtime that may compile bytes: they are in the JavaScript. */
import * as glue from "../wasm/full.glue.js";
import { bytes } from "../wasm/full.inline.js";
import { provide } from "../engine/instance.js";

provide("full", { glue, source: bytes });
export * from "../systems/glassflow/index.js";
