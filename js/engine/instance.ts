/**
 * The only door into wasm. It loads the engine on first use, keeps the views on its memory fresh, and sees
 * every trap: then the instance is thrown away at once, because after a trap nothing in it can be trusted.
 *
 * Two modules exist, `codecs` and `full`, and the second can do all the first can. Whichever is richer
 * among those that entry points have registered serves everybody. The codecs keep no state in the engine
 * between two calls, so a richer one can take over at any time.
 */
import { FerryError } from "./errors.js";
import type { CallsPort, OutboxPort, PipelineSinkPort, StreamPort } from "./ports.js";
import type { FetchBindings } from "../platform/fetch.js";

/** What the codecs need of the engine. Numbers only; text lies in memory. */
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

/** The generated glue of one module, as far as we use it. */
export interface Glue {
  initSync(input: { module: WebAssembly.Module | BufferSource }): Codecs;
  exportsNow(): Codecs;
  __wbg_reset_state(): void;
}

/** The generated glue of the full module. */
export interface FullGlue extends Glue, FetchBindings {
  CallsPort: {
    new (options: object, judge: number, seed: number): CallsPort;
    check(options: object): void;
  };
  OutboxPort: {
    new (options: object, judge: number, seed: number): OutboxPort;
    check(options: object): void;
  };
  StreamPort: {
    new (options: object, seed: number): StreamPort;
  };
  PipelineSinkPort: new (
    outputUrl: string,
    failedUrl: string,
    baseDelayMs: number,
    maxDelayMs: number,
    seed: number,
  ) => PipelineSinkPort;
  glassflow_url(base: string, pipelineId: string, endpoint: number): string;
  glassflow_event_spans(len: number): Uint32Array;
  events_read(len: number, rule: number): number;
  events_respond(len: number, outcome: number): Uint8Array<ArrayBuffer>;
}

/** One module, and how to get at its code. Nothing is loaded before `source` is called. */
export interface Provider<G extends Glue = Glue> {
  glue: G;
  source: () => WebAssembly.Module | BufferSource;
}

/** Views on the engine's memory. */
export interface Engine {
  readonly codecs: Codecs;
  /** Where input is written; covers the whole capacity. */
  input: Uint8Array;
  /** The table of the last scan. */
  table: Uint32Array;
}

const providers: { codecs?: Provider; full?: Provider<FullGlue> } = {};
let live: Engine | undefined;
let liveProvider: Provider | undefined;
const encoder = new TextEncoder();

/** Words of the table that JavaScript looks at; `src/cloudevents/table.rs` has the layout. */
const TABLE_WORDS = 21 + 12 * 7 + 128 * 6;
/** 128 MiB: with scratch space and rows the engine then uses a third of a gigabyte. */
const LARGEST_INPUT = 0x800_0000;

/** Registers a module. Called by entry points; does nothing else. */
export function provide(kind: "codecs", provider: Provider): void;
export function provide(kind: "full", provider: Provider<FullGlue>): void;
export function provide(kind: "codecs" | "full", provider: Provider | Provider<FullGlue>): void {
  if (providers[kind]) return;
  (providers as Record<string, Provider>)[kind] = provider;
  if (kind === "full") live = undefined;
}

/** The glue of the full module with its engine running, for the clients. */
export function fullGlue(): FullGlue {
  if (!providers.full) throw notInitialized();
  engine();
  return providers.full.glue;
}

const resetListeners = new Set<() => void>();

/** Calls `listener` when the engine was thrown away. Gives the function that stops it. */
export function onReset(listener: () => void): () => void {
  resetListeners.add(listener);
  return () => resetListeners.delete(listener);
}

/** The engine, started if need be. */
export function engine(): Engine {
  return live ?? start();
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
  liveProvider = provider;
  live = { codecs, input: new Uint8Array(0), table: new Uint32Array(0) };
  reserve(live, 8192);
  return live;
}

function reserve(engine: Engine, len: number): void {
  if (len > 3 * LARGEST_INPUT) throw tooLarge(len);
  const address = engine.codecs.reserve(len) >>> 0;
  if (address === 0) throw tooLarge(len);
  const { memory } = engine.codecs;
  engine.input = new Uint8Array(memory.buffer, address, Math.max(len, 8192));
  engine.table = new Uint32Array(memory.buffer, engine.codecs.table(), TABLE_WORDS);
}

function tooLarge(len: number): FerryError {
  return new FerryError(
    "ERR_TOO_LARGE",
    `an input of ${len} bytes is too large: the engine takes ${LARGEST_INPUT}, if the runtime has the memory`,
  );
}

/** Makes sure that `len` bytes fit and that the views are on the memory as it is now. */
function ready(len: number): Engine {
  const now = live ?? start();
  // Growing the memory detaches the views: their length becomes 0.
  if (now.input.length < len || now.table.length === 0) call(() => reserve(now, Math.max(len, now.input.length)));
  return now;
}

/** Writes text into the engine. Gives its length in bytes, or -1 if it has half a surrogate pair in it. */
export function putText(text: string): number {
  const units = text.length;
  if (units > LARGEST_INPUT) throw tooLarge(units);
  let now = ready(units);
  let { read, written } = encoder.encodeInto(text, now.input);
  if (read < units) {
    now = ready(units * 3);
    ({ read, written } = encoder.encodeInto(text, now.input));
  }
  return written === units || isWellFormed(text) ? written : -1;
}

/** Writes bytes into the engine and gives their number. */
export function putBytes(bytes: Uint8Array): number {
  if (bytes.length > LARGEST_INPUT) throw tooLarge(bytes.length);
  ready(bytes.length).input.set(bytes);
  return bytes.length;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The first bytes of the scratch space as text. */
export function takeScratch(len: number): string {
  const { codecs } = engine();
  return decoder.decode(new Uint8Array(codecs.memory.buffer, codecs.scratch(), len));
}

/** Runs `body`, which calls into the engine, and deals with a trap. */
export function call<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw trapped(error);
  }
}

/** What to throw for something that came out of the engine. After a trap the instance is gone when this returns. */
export function trapped(error: unknown): unknown {
  if (error instanceof FerryError) return error;
  const isTrap =
    error instanceof WebAssembly.RuntimeError ||
    error instanceof RangeError ||
    (error as Error)?.name === "InternalError";
  if (isTrap && liveProvider) {
    live = undefined;
    liveProvider.glue.__wbg_reset_state();
    for (const listener of [...resetListeners]) listener();
  }
  return new FerryError("ERR_INTERNAL", undefined, { cause: error });
}

/** Whether every surrogate has its partner. */
export const isWellFormed: (text: string) => boolean =
  "isWellFormed" in String.prototype
    ? (text) => (text as string & { isWellFormed(): boolean }).isWellFormed()
    : (text) => !/\p{Surrogate}/u.test(text);
