/** Options of an outbox, checked, and as the machine wants them. */
import { FerryError, shown } from "../errors.js";
import type { OutboxStore } from "../stores/store.js";
import { fullGlue } from "../wasm.js";

/** How an outbox works. */
export interface OutboxOptions {
  /**
   * Where accepted events are kept. `"auto"`: in browsers IndexedDB, then `localStorage`, then memory; elsewhere memory, because nothing
   * else can be used without knowing where. `stats().durability` says what that is worth, and a `degraded` event when a better one failed.
   * @default "auto"
   */
  store?: "auto" | OutboxStore | "memory";
  /** Outboxes with the same name in the same place share their events. @default the origin and path of the URL */
  name?: string;
  /** Bytes of events that may be staged and kept, dead letters included. @default 8 MiB */
  maxBytes?: number;
  /**
   * What happens to an event that does not fit. `"reject"`: `publish` throws `ERR_QUEUE_FULL`. `"drop-oldest"`: the oldest staged events of the
   * session make room. `"drop-newest"`: it is dropped. `"wait"`: it is staged up to twice the limit, and `flush` waits for room.
   * Events that were accepted are never dropped. @default "reject"
   */
  overflow?: "reject" | "drop-oldest" | "drop-newest" | "wait";
  batch?: {
    /** Events in one request, 1 to 10 000. Binary and structured mode always send one. @default 250 */
    maxEvents?: number;
    /** Bytes in one request; a single event may be larger. @default 56 KiB in pages, 256 KiB elsewhere */
    maxBytes?: number;
    /** How long an event waits for company. @default 0, and 250 for a store in memory */
    maxAgeMs?: number;
  };
  retry?: {
    /** The longest first rest after a failure; it doubles each time, and a random part of it is taken. @default 500 */
    baseMs?: number;
    /** The longest rest of our own choice; a `Retry-After` may ask for up to an hour. @default 60 000 in pages, 30 000 elsewhere */
    maxMs?: number;
    /** How long an event is tried before it becomes a dead letter. @default 7 days */
    maxAgeMs?: number;
  };
  /** Requests under way at once, 1 to 64. @default 1 for batches, 6 for single events */
  concurrency?: number;
  /**
   * What happens when a page is hidden or ends: `"resend"` sends what is not delivered once more in a way that survives the page; `"hold"` leaves
   * it to the next visit, with fewer duplicates. @default "resend"
   */
  unload?: "resend" | "hold";
  /** Whether bodies of 2 KiB and more are sent with `content-encoding: gzip`. The server has to know it. @default false */
  gzip?: boolean;
}

const OVERFLOW = ["reject", "drop-oldest", "drop-newest", "wait"];
/** Names of the options, and of what the machine calls them. */
const NUMBERS = {
  maxBytes: "maxBytes",
  concurrency: "concurrency",
  "batch.maxEvents": "maxEvents",
  "batch.maxBytes": "maxBatchBytes",
  "batch.maxAgeMs": "maxAgeMs",
  "retry.baseMs": "baseMs",
  "retry.maxMs": "maxMs",
  "retry.maxAgeMs": "giveUpMs",
} as const;
const OTHERS = ["store", "name", "overflow", "unload", "gzip"];

/** The configuration of the machine. `room`: what the room says about its wire, over which no option goes. */
export function configured(options: OutboxOptions, room: Record<string, number | boolean>, timeoutMs: number): Record<string, number | boolean> {
  if (typeof options !== "object" || options === null) throw invalid(`takes an object of options, not ${shown(options)}`);
  const isPage = typeof document !== "undefined";
  const config: Record<string, number | boolean> = {
    maxBatchBytes: (isPage ? 56 : 256) * 1024,
    maxBytes: 8 * 1024 * 1024,
    maxMs: isPage ? 60_000 : 30_000,
    maxAgeMs: options.store === "memory" || (typeof options.store === "object" && options.store.kind === "memory") ? 250 : 0,
    ...room,
    // The flight has a limit of its own; this one is for answers that nobody can bring any more.
    timeoutMs: Math.min(timeoutMs + 5000, 2 ** 31),
  };
  for (const [name, value] of flat(options)) {
    if (value === undefined || OTHERS.includes(name)) continue;
    const field = NUMBERS[name as keyof typeof NUMBERS];
    if (!field) throw invalid(`has no option ${name}`);
    if (typeof value !== "number") throw invalid(`has a number for ${name}, not ${shown(value)}`);
    // How many events a request can carry is not for users to say where it is one.
    if (!(field === "maxEvents" && room[field] !== undefined)) config[field] = value;
  }
  const { store = "auto", name, overflow = "reject", unload = "resend" } = options;
  if (typeof store === "string" ? !["auto", "memory"].includes(store) : typeof store?.write !== "function") throw invalid(`has "auto", "memory" or a store for store, not ${shown(store)}`);
  if (name !== undefined && (typeof name !== "string" || name === "")) throw invalid(`has a text for name, not ${shown(name)}`);
  if (!OVERFLOW.includes(overflow)) throw invalid(`has ${OVERFLOW.map((word) => `"${word}"`).join(", ")} for overflow, not ${shown(overflow)}`);
  if (unload !== "resend" && unload !== "hold") throw invalid(`has "resend" or "hold" for unload, not ${shown(unload)}`);
  config["overflow"] = OVERFLOW.indexOf(overflow);
  try {
    fullGlue().OutboxPort.check(config);
  } catch (error) {
    throw error instanceof FerryError ? error : new FerryError("ERR_INVALID_ARGUMENT", (error as Error).message);
  }
  return config;
}

function flat(options: OutboxOptions): [string, unknown][] {
  return Object.entries(options).flatMap(([name, value]): [string, unknown][] =>
    name === "batch" || name === "retry" ? Object.entries(value ?? {}).map(([inner, value]) => [`${name}.${inner}`, value]) : [[name, value]],
  );
}

function invalid(problem: string): FerryError {
  return new FerryError("ERR_INVALID_ARGUMENT", `an outbox ${problem}`);
}
