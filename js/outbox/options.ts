/** Options of an outbox, checked, and as the machine wants them. */
import { FerryError } from "../engine/errors.js";
import type { OutboxStore } from "../stores/store.js";
import { fullGlue } from "../engine/instance.js";
import { formatValue } from "../engine/messages.js";

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
/** Options that are numbers, and what the machine calls them; it knows their ranges. */
const NUMBERS: Record<string, string> = {
  maxBytes: "maxBytes",
  concurrency: "concurrency",
  "batch.maxEvents": "maxEvents",
  "batch.maxBytes": "maxBatchBytes",
  "batch.maxAgeMs": "maxAgeMs",
  "retry.baseMs": "baseMs",
  "retry.maxMs": "maxMs",
  "retry.maxAgeMs": "giveUpMs",
};
/** The others, and what is wrong with a value, if anything. */
const OTHERS: Record<string, (value: unknown) => string | false> = {
  store: (store) =>
    typeof store === "object"
      ? lacking(store)
      : store !== "auto" && store !== "memory" && `is "auto", "memory" or a store`,
  name: (name) => (typeof name !== "string" || name === "") && "is a text",
  overflow: (overflow) => !OVERFLOW.includes(overflow as string) && `is one of ${OVERFLOW.join(", ")}`,
  unload: (unload) => unload !== "resend" && unload !== "hold" && `is "resend" or "hold"`,
  gzip: (gzip) => typeof gzip !== "boolean" && "is true or false",
};

/** The configuration of the machine. `room`: what the room says about its wire, over which no option goes. */
export function configured(
  options: OutboxOptions,
  room: Record<string, number | boolean>,
  timeoutMs: number,
): Record<string, number | boolean> {
  const isPage = typeof document !== "undefined";
  const config: Record<string, number | boolean> = {
    maxBatchBytes: (isPage ? 56 : 256) * 1024,
    maxBytes: 8 * 1024 * 1024,
    maxMs: isPage ? 60_000 : 30_000,
    ...room,
    // The flight has a limit of its own; this one is for answers that nobody can bring any more.
    timeoutMs: Math.min(Math.ceil(timeoutMs) + 5000, 2 ** 31),
  };
  for (const [name, value] of flat("", options)) {
    const field = NUMBERS[name];
    const problem = field
      ? typeof value !== "number" && "is a number"
      : OTHERS[name]
        ? OTHERS[name](value)
        : "is not known";
    if (problem) throw invalid(`${name} ${problem}`, value);
    // How many events a request can carry is not for users to say where it is one.
    if (field && !(field === "maxEvents" && room[field] !== undefined)) config[field] = value as number;
  }
  const { store, overflow = "reject" } = options;
  config["maxAgeMs"] ??= store === "memory" || (store as OutboxStore | undefined)?.kind === "memory" ? 250 : 0;
  config["overflow"] = OVERFLOW.indexOf(overflow);
  try {
    fullGlue().OutboxPort.check(config);
  } catch (error) {
    throw error instanceof FerryError ? error : new FerryError("ERR_INVALID_ARGUMENT", (error as Error).message);
  }
  return config;
}

/** Options with the names of their groups; what is `undefined` is not there. */
function flat(group: string, options: unknown): [string, unknown][] {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw invalid(`${group.slice(0, -1)} is an object of options`.trim(), options);
  return Object.entries(options).flatMap(([inner, value]): [string, unknown][] => {
    const name = group + inner;
    if (value === undefined) return [];
    return name === "batch" || name === "retry" ? flat(`${name}.`, value) : [[name, value]];
  });
}

function lacking(store: unknown): string | false {
  const its = (store ?? {}) as Record<string, unknown>;
  const method = ["open", "write", "peek", "dead", "count", "close"].find(
    (method) => typeof its[method] !== "function",
  );
  return method
    ? `has to be a store with the method ${method}`
    : typeof its["kind"] !== "string" && "has to be a store with a text as its kind";
}

function invalid(problem: string, value: unknown): FerryError {
  return new FerryError("ERR_INVALID_ARGUMENT", `outbox: ${problem}; it was ${formatValue(value)}`);
}
