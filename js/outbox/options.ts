/** Options of an outbox: how they are checked, and converted for the machine. */
import { optionNumbers } from "../engine/machine-options.js";
import { mustBe, unknownOption } from "../engine/messages.js";
import { OUTBOX_OPTIONS } from "../engine/ports.js";
import type { OutboxStore } from "../stores/store.js";
import type { DeadLetterBound } from "./dead-letter-limits.js";
import type { IdentityOption } from "./identity.js";

/** Options of an outbox. */
export interface OutboxOptions {
  /**
   * Where accepted events are stored. `"auto"`: in browsers IndexedDB, then `localStorage`, then memory; elsewhere
   * memory, because other stores need a place. `stats().durability` says what survives, and a `degraded` event why a
   * better store failed.
   * @default "auto"
   */
  store?: "auto" | OutboxStore | "memory";
  /**
   * Whether to ask the browser to keep what the site has stored (`navigator.storage.persist()`). Otherwise it may delete
   * everything when the disk is full, and Safari after seven days of use without a visit to the site. Firefox asks the
   * user. If the browser does not agree, there is a `degraded` event. Without effect outside browsers.
   * @default false
   */
  persist?: boolean;
  /**
   * The name of the destination. Outboxes of one system with the same name and kind of store share the events of an
   * identity, whatever their URLs. @default the URL with its query
   */
  name?: string;
  /**
   * Whose events these are, for example the id of the user; or a function that returns it at once. The function is
   * called whenever an event is published, and before and after each call of `headers`; events are sent only under the
   * identity under which they were published. It is stored as a digest.
   *
   * @default for headers that do not change, a digest of those that tell who sends, such as `authorization`; for
   * `headers` as a function, one identity for all events
   */
  identity?: IdentityOption;
  /**
   * Bytes of events that may be staged and stored, dead letters included. A higher limit uses more memory.
   * @default 8 MiB
   */
  maxBytes?: number;
  /**
   * What happens to an event that does not fit. `"reject"`: `publish` throws `ERR_QUEUE_FULL`. `"drop-oldest"`: the
   * oldest staged events of the session are dropped for it. `"drop-newest"`: it is dropped. `"wait"`: it is staged, up
   * to twice the limit, and `flush` waits for free space. Accepted events are never dropped. @default "reject"
   */
  overflow?: "reject" | "drop-oldest" | "drop-newest" | "wait";
  /** How many events share a request. */
  batch?: {
    /** Events in one request, 1 to 10 000. Binary and structured mode always send one. @default 250 */
    maxEvents?: number;
    /** Bytes of events in one request; a single event may be larger. @default 56 KiB in pages, 256 KiB elsewhere */
    maxBytes?: number;
    /**
     * How long an event waits for others, in milliseconds. A longer wait delays events and saves requests.
     * Who waits for the delivery ends it: `flush({ until: "delivered" })`, `drain`, `keepAlive`, `close`, and a page
     * that is closed.
     * @default 250 in pages and for a store in memory, so that several clicks share a request; otherwise 0
     */
    maxAgeMs?: number;
  };
  /** How long dead letters are kept. The oldest are removed first, counted in `stats().deadExpired` and told. */
  deadLetters?: {
    /** @default 30 days */
    maxAgeMs?: number;
    /** Bytes of all dead letters. @default a quarter of `maxBytes` */
    maxBytes?: number;
  };
  /** When failed requests are repeated: exponential backoff with full jitter. */
  retry?: {
    /** Upper limit of the first delay, in milliseconds. It doubles after each failure. @default 500 */
    baseMs?: number;
    /**
     * Upper limit of all delays, in milliseconds. `Retry-After` may ask for up to an hour.
     * @default 60 000 in pages, 30 000 elsewhere
     */
    maxMs?: number;
    /** How long an event is retried before it becomes a dead letter, in milliseconds. @default 7 days */
    maxAgeMs?: number;
  };
  /**
   * In how many failed requests of one run an event may be before it becomes a dead letter, 1 to 255. Failures of the
   * network count too. @default any number, until `retry.maxAgeMs`
   */
  giveUpAfter?: number;
  /** Simultaneous requests, 1 to 64. @default 1 for batches, 6 for single events */
  concurrency?: number;
  /**
   * What happens when a page is hidden or closed. `"resend"`: undelivered events are sent again in requests that
   * survive the page. `"hold"`: they stay in the store for the next visit or another tab, which causes fewer duplicates. With
   * both, events that are not stored yet are kept in `localStorage` until they are, up to 1 048 576 characters. @default
   * "resend"
   */
  unload?: "resend" | "hold";
  /**
   * Whether bodies of 2 KiB and more are sent with `content-encoding: gzip`. The server must support it.
   * @default false
   */
  gzip?: boolean;
}

const OVERFLOW = ["reject", "drop-oldest", "drop-newest", "wait"];
/** Options of the machine, by the names of `OUTBOX_OPTIONS`. */
export type MachineConfig = { [name in (typeof OUTBOX_OPTIONS)[number][0]]?: number };
type NumberName = keyof MachineConfig;

/** The options of the machine that the user may set. */
const NUMBERS: readonly string[] = OUTBOX_OPTIONS.filter((row) => row.length > 1).map(([name]) => name);
/** All other options: what a value must be, and whether it is that. */
const OTHERS = new Map<string, readonly [string, (value: unknown) => boolean]>([
  [
    "store",
    [
      '"auto", "memory" or a store such as fileStore(path) returns',
      (store) => typeof store === "object" || store === "auto" || store === "memory",
    ],
  ],
  ["name", ["a non-empty string", (name) => typeof name === "string" && name !== ""]],
  [
    "identity",
    [
      "a string or a function that returns one",
      (identity) => typeof identity === "string" || typeof identity === "function",
    ],
  ],
  [
    "overflow",
    [OVERFLOW.map((name) => JSON.stringify(name)).join(" or "), (overflow) => OVERFLOW.includes(overflow as string)],
  ],
  ["deadLetters.maxAgeMs", ["a number of milliseconds from 0", (ms) => typeof ms === "number" && ms >= 0]],
  ["deadLetters.maxBytes", ["a number of bytes from 0", (bytes) => typeof bytes === "number" && bytes >= 0]],
  ["unload", ['"resend" or "hold"', (unload) => unload === "resend" || unload === "hold"]],
  ["gzip", ["a boolean", (gzip) => typeof gzip === "boolean"]],
  ["persist", ["a boolean", (persist) => typeof persist === "boolean"]],
]);
const DEAD_LETTER_AGE_MS = 30 * 24 * 60 * 60 * 1000;
/** The share of dead letters in the room of an outbox. */
const DEAD_LETTER_SHARE = 0.25;
const STORE_METHODS = ["open", "write", "peek", "dead", "count", "close"];
/** In pages, and in memory, where storing costs nothing, events wait this long for others by default. */
const LINGER_MS = 250;
/** The machine gives up a request this much later than the request itself, because then nobody reports its end. */
const EXTRA_TIMEOUT_MS = 5000;

/**
 * The configuration of the machine. `systemConfig`: what the system's protocol requires, which no option overrides.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` naming the option
 */
export function machineConfig(options: OutboxOptions, systemConfig: MachineConfig, timeoutMs: number): MachineConfig {
  const isPage = typeof document !== "undefined";
  const given = flatten("", options);
  const { store, overflow = "reject" } = options;
  const isInMemory = store === "memory" || (store as OutboxStore | undefined)?.kind === "memory";
  const config: MachineConfig = {
    "batch.maxBytes": (isPage ? 56 : 256) * 1024,
    maxBytes: 8 * 1024 * 1024,
    "retry.maxMs": isPage ? 60_000 : 30_000,
    ...systemConfig,
    timeoutMs: Math.min(Math.ceil(timeoutMs) + EXTRA_TIMEOUT_MS, 2 ** 31),
    // Where pages share a store, one of them may end while its requests are in flight.
    inFlightMs: isPage && !isInMemory ? Math.min(Math.ceil(timeoutMs), 2 ** 31) : 0,
  };
  for (const [name, value] of given) {
    if (!NUMBERS.includes(name)) checkOther(name, value);
    // A system that sends single events decides that itself.
    else if (name !== "batch.maxEvents" || systemConfig[name] === undefined)
      config[name as NumberName] = value as number;
  }
  config["batch.maxAgeMs"] ??= isInMemory || isPage ? LINGER_MS : 0;
  config.overflow = OVERFLOW.indexOf(overflow);
  optionNumbers(OUTBOX_OPTIONS, config, "outbox.");
  return config;
}

/** The bound of dead letters. `maxBytes`: that of the outbox. */
export function deadLetterBound({ deadLetters = {} }: OutboxOptions, maxBytes: number): DeadLetterBound {
  return {
    maxAgeMs: deadLetters.maxAgeMs ?? DEAD_LETTER_AGE_MS,
    maxBytes: deadLetters.maxBytes ?? maxBytes * DEAD_LETTER_SHARE,
  };
}

/** Options by their dotted names, without those that are undefined. */
function flatten(prefix: string, options: unknown): [string, unknown][] {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw mustBe(`outbox.${prefix}`.slice(0, -1), "an object of options", options);
  if (prefix === "" && typeof (options as Partial<OutboxStore>).open === "function")
    throw mustBe("outbox", "an object of options", options, "pass the store as { store: … }");
  return Object.entries(options).flatMap(([member, value]): [string, unknown][] => {
    const name = prefix + member;
    if (value === undefined) return [];
    return name === "batch" || name === "retry" || name === "deadLetters"
      ? flatten(`${name}.`, value)
      : [[name, value]];
  });
}

function checkOther(name: string, value: unknown): void {
  const option = OTHERS.get(name);
  if (!option) throw unknownOption("outbox", name, [...NUMBERS, ...OTHERS.keys()]);
  const [expected, isValid] = option;
  if (!isValid(value)) throw mustBe(`outbox.${name}`, expected, value);
  if (name === "store" && typeof value === "object") checkStore(value as Record<string, unknown> | null);
}

function checkStore(store: Record<string, unknown> | null): void {
  const missing = STORE_METHODS.find((method) => typeof store?.[method] !== "function");
  if (missing !== undefined) throw mustBe("outbox.store", `a store with a method ${missing}`, store);
  if (typeof store!["kind"] !== "string") throw mustBe("outbox.store.kind", "a string", store!["kind"]);
}
