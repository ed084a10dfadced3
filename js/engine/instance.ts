/**
 * The engine instance. Loads the wasm module on first use, keeps the views on its memory current, and handles traps:
 * after a trap nothing in the instance can be trusted, so it is discarded.
 *
 * Two modules exist, `codecs` and `full`, and the second can do all the first can. Whichever is richer
 * among those that entry points have registered serves everybody. The codecs keep no state in the engine
 * between two calls, so a richer one can take over at any time.
 */

import type { FetchBindings } from "../platform/fetch.js";
import { FerryError } from "./errors.js";
import type { CallsPort, MarksEffects, MarksPort, OutboxPort, PipelineSinkPort, StreamPort } from "./ports.js";

/** The exports for the codecs. Arguments and results are numbers; text is in memory. */
export interface Codecs {
  readonly memory: WebAssembly.Memory;
  reserve(len: number): number;
  table(): number;
  rows(): number;
  scratch(): number;
  scan(len: number): number;
  scan_all(len: number, lines: number, inBytes: number): number;
  is_json(len: number): number;
  matches_format(len: number, format: number): number;
  decode_header(len: number): number;
}

/** The generated glue of a module, as far as it is used. */
export interface Glue {
  initSync(input: { module: WebAssembly.Module | BufferSource }): Codecs;
  exportsNow(): Codecs;
  __wbg_reset_state(): void;
}

/** The generated glue of the full module. */
export interface FullGlue extends Glue, FetchBindings {
  CallsPort: {
    new (options: object, classifier: number, seed: number): CallsPort;
    check(options: object): void;
  };
  OutboxPort: {
    new (options: object, classifier: number, seed: number): OutboxPort;
    check(options: object): void;
  };
  StreamPort: {
    new (options: object, seed: number): StreamPort;
  };
  MarksPort: new (policy: number, effects: MarksEffects) => MarksPort;
  PipelineSinkPort: new (
    outputUrl: string,
    failedUrl: string,
    baseDelayMs: number,
    maxDelayMs: number,
    seed: number,
  ) => PipelineSinkPort;
  channel_name(channel: string): string;
  glassflow_url(base: string, pipelineId: string, endpoint: number): string;
  glassflow_event_spans(len: number): Uint32Array;
  digest(text: string): string;
  events_read(len: number, rule: number): number;
  events_respond(len: number, outcome: number): Uint8Array<ArrayBuffer>;
}

/** A module and the source of its code. Nothing is loaded before `source` is called. */
export interface Provider<G extends Glue = Glue> {
  glue: G;
  source: () => WebAssembly.Module | BufferSource;
}

/** The current instance, with views on its memory. */
export interface Engine {
  readonly codecs: Codecs;
  /** The input area, up to its capacity. */
  input: Uint8Array;
  /** The table of the last scan. */
  table: Uint32Array;
}

const providers: { codecs?: Provider; full?: Provider<FullGlue> } = {};
let current: Engine | undefined;
let currentProvider: Provider | undefined;
const encoder = new TextEncoder();

/** The size of the table in 32-bit integers; `src/cloudevents/table.rs` has the layout. */
const TABLE_WORDS = 21 + 12 * 7 + 128 * 6;
/** 128 MiB. With scratch space and rows, the engine then uses a third of a gigabyte. */
const MAX_INPUT_BYTES = 0x800_0000;

/** Registers a module. Called by entry points; does nothing else. */
export function provide(kind: "codecs", provider: Provider): void;
export function provide(kind: "full", provider: Provider<FullGlue>): void;
export function provide(kind: "codecs" | "full", provider: Provider | Provider<FullGlue>): void {
  if (providers[kind]) return;
  (providers as Record<string, Provider>)[kind] = provider;
  if (kind === "full") current = undefined;
}

/** The glue of the full module, with its engine started. */
export function fullGlue(): FullGlue {
  if (!providers.full) throw notInitialized();
  engine();
  return providers.full.glue;
}

const resetListeners = new Set<() => void>();

/** Calls `listener` after the engine was discarded. Returns the function that removes it. */
export function onReset(listener: () => void): () => void {
  resetListeners.add(listener);
  return () => resetListeners.delete(listener);
}

/** The engine. Starts it if it is not running. */
export function engine(): Engine {
  return current ?? start();
}

function notInitialized(): FerryError {
  return new FerryError(
    "ERR_NOT_INITIALIZED",
    "the engine is not loaded yet: with eventferry/slim, await init(…) first",
  );
}

const started = new WeakSet<Provider>();

function start(): Engine {
  const provider = providers.full ?? providers.codecs;
  if (!provider) throw notInitialized();
  let codecs: Codecs;
  try {
    codecs = started.has(provider) ? provider.glue.exportsNow() : provider.glue.initSync({ module: provider.source() });
  } catch (cause) {
    if (cause instanceof FerryError) throw cause;
    throw new FerryError(
      "ERR_WASM_INIT",
      `this runtime refused to start the WebAssembly module: ${(cause as Error)?.message}`,
      { cause },
    );
  }
  started.add(provider);
  currentProvider = provider;
  current = { codecs, input: new Uint8Array(0), table: new Uint32Array(0) };
  reserve(current, 8192);
  return current;
}

function reserve(engine: Engine, len: number): void {
  if (len > 3 * MAX_INPUT_BYTES) throw tooLarge(len);
  const address = engine.codecs.reserve(len) >>> 0;
  if (address === 0) throw tooLarge(len);
  const { memory } = engine.codecs;
  engine.input = new Uint8Array(memory.buffer, address, Math.max(len, 8192));
  engine.table = new Uint32Array(memory.buffer, engine.codecs.table(), TABLE_WORDS);
}

function tooLarge(len: number): FerryError {
  return new FerryError(
    "ERR_TOO_LARGE",
    `an input of ${len} bytes is too large; the limit is ${MAX_INPUT_BYTES} bytes, or less if memory is short`,
  );
}

/** Makes sure that `len` bytes fit and that the views are current. */
function ensureCapacity(len: number): Engine {
  const running = current ?? start();
  // Growing the memory detaches the views: their length becomes 0.
  if (running.input.length < len || running.table.length === 0) {
    call(() => reserve(running, Math.max(len, running.input.length)));
  }
  return running;
}

/** Writes text to the input area. Returns its length in bytes, or -1 if it has an unpaired surrogate. */
export function putText(text: string): number {
  const units = text.length;
  if (units > MAX_INPUT_BYTES) throw tooLarge(units);
  let { read, written } = encoder.encodeInto(text, ensureCapacity(units).input);
  if (read < units) {
    ({ read, written } = encoder.encodeInto(text, ensureCapacity(units * 3).input));
  }
  return written === units || isWellFormed(text) ? written : -1;
}

/** Writes bytes to the input area. Returns their number. */
export function putBytes(bytes: Uint8Array): number {
  if (bytes.length > MAX_INPUT_BYTES) throw tooLarge(bytes.length);
  ensureCapacity(bytes.length).input.set(bytes);
  return bytes.length;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The first `len` bytes of the scratch space as text. */
export function takeScratch(len: number): string {
  const { codecs } = engine();
  return decoder.decode(new Uint8Array(codecs.memory.buffer, codecs.scratch(), len));
}

/** Runs `body`, which calls the engine, and handles a trap. */
export function call<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw trapped(error);
  }
}

/** The error to throw for an exception from the engine. After a trap the instance is discarded when this returns. */
export function trapped(error: unknown): unknown {
  if (error instanceof FerryError) return error;
  const isTrap =
    error instanceof WebAssembly.RuntimeError ||
    error instanceof RangeError ||
    (error as Error)?.name === "InternalError";
  if (isTrap && currentProvider) {
    current = undefined;
    currentProvider.glue.__wbg_reset_state();
    for (const listener of [...resetListeners]) listener();
  }
  return new FerryError("ERR_INTERNAL", undefined, { cause: error });
}

/** Whether a text has no unpaired surrogate. */
export const isWellFormed: (text: string) => boolean =
  "isWellFormed" in String.prototype
    ? (text) => (text as string & { isWellFormed(): boolean }).isWellFormed()
    : (text) => !/\p{Surrogate}/u.test(text);
