/** How far each channel got: what is kept, where, and when it is saved. */
import { withoutFilter } from "../bayeux/channels.js";
import type { Message } from "../bayeux/message.js";
import { FerryError } from "../../engine/errors.js";
import { checkOptionNames } from "../../client/options.js";
import type { OutboxStore } from "../../stores/store.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";
import { unixNow } from "../../platform/clock.js";

/** How far a channel got. */
export interface ReplayMarker {
  /** As text: Salesforce gives numbers that JavaScript cannot hold. */
  readonly replayId: string;
  /** When that event was made. */
  readonly date?: string;
}

/**
 * When a mark is saved. `automatic`: before `receive` gives the message, or after its listener is done. `next`: when the next message is asked for, which says that the
 * one before was dealt with. `manual`: when `ack` was called for it and for all before it.
 */
export type ReplayPolicy = "automatic" | "next" | "manual";

/** Where marks are kept; a `Map` is one. */
export interface ReplayStorage {
  get(channel: string): ReplayMarker | undefined | null | Promise<ReplayMarker | undefined | null>;
  set(channel: string, marker: ReplayMarker): unknown;
  /** @default "automatic" */
  readonly policy?: ReplayPolicy;
  /** Where a channel starts that has no mark. @default "new" */
  readonly initial?: "new" | "all" | number | string;
}

export interface ReplayStoreOptions {
  policy?: ReplayPolicy;
  initial?: "new" | "all" | number | string;
}

/**
 * Keeps marks in a store of this package: memory, IndexedDB, localStorage, a file, a Durable Object, Deno KV. It must not be a store that an
 * outbox has.
 *
 * @example
 * const client = new SalesforceClient(auth, { replay: replayStore(fileStore("replay.marks"), { policy: "manual" }) });
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`; the calls of the storage: `ERR_STORE`
 */
export function replayStore(
  store: OutboxStore,
  options: ReplayStoreOptions = {},
): ReplayStorage & { close(): Promise<void> } {
  checkOptionNames("replayStore", options, ["policy", "initial"]);
  if (typeof store?.write !== "function" || typeof store.peek !== "function")
    throw invalidArgument(
      `replayStore takes a store such as memoryStore() or fileStore(path), not ${formatValue(store)}`,
    );
  const { policy, initial } = options;
  checkPolicy(policy);
  startOf(initial ?? "new", "initial");
  let marks: Promise<Map<string, ReplayMarker>> | undefined;
  const loaded = () =>
    (marks ??= load(store).catch((error: unknown) => {
      // The next call tries again.
      marks = undefined;
      throw error;
    }));
  return {
    ...(policy !== undefined && { policy }),
    ...(initial !== undefined && { initial }),
    get: async (channel) => (await loaded()).get(channel),
    async set(channel, marker) {
      const known = await loaded();
      const text = encoder.encode(
        JSON.stringify({ channel, replayId: marker.replayId, ...(marker.date !== undefined && { date: marker.date }) }),
      );
      const segment = { key: keyOf(channel), body: text, sizes: Uint32Array.of(text.length), at: unixNow() };
      await store.write({ put: [segment], remove: [], deadPut: [], deadRemove: [] });
      known.set(channel, marker);
    },
    async close() {
      if (!marks) return;
      await marks;
      marks = undefined;
      await store.close();
    },
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function load(store: OutboxStore): Promise<Map<string, ReplayMarker>> {
  await store.open("replay");
  const marks = new Map<string, ReplayMarker>();
  for (const segment of await store.peek({ events: 1e6, bytes: 2 ** 30, skip: new Set() })) {
    const { channel, replayId, date } = parsed(segment.body);
    if (typeof channel !== "string" || typeof replayId !== "string") {
      throw new FerryError(
        "ERR_STORE",
        "the store has something else in it than marks: give each outbox and each replayStore a store of its own",
      );
    }
    marks.set(channel, { replayId, ...(typeof date === "string" && { date }) });
  }
  return marks;
}

function parsed(body: Uint8Array): { channel?: unknown; replayId?: unknown; date?: unknown } {
  try {
    return (JSON.parse(decoder.decode(body)) as object | null) ?? {};
  } catch {
    return {};
  }
}

/** Keys of stores are letters and digits. */
function keyOf(channel: string): string {
  return `mark.${[...encoder.encode(channel)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkPolicy(policy: unknown): void {
  if (policy !== undefined && !["automatic", "next", "manual"].includes(policy as string))
    throw invalidArgument(`policy is "automatic", "next" or "manual", not ${formatValue(policy)}`);
}

/** Where to start, as the server wants it. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function startOf(start: unknown, name: string): string {
  if (start === "new") return "-1";
  if (start === "all") return "-2";
  const text = typeof start === "number" && Number.isSafeInteger(start) ? String(start) : start;
  if (typeof text !== "string" || !/^-?\d{1,200}$/.test(text))
    throw invalidArgument(`${name} is "new", "all" or a replay id, not ${formatValue(start)}`);
  return text;
}

/** A mark as a storage gave it. Ids are the server's, so it is for the server to know them; they only have to fit into a message. */
function checkedMark(id: unknown): string {
  if (id === "new" || id === "all") return startOf(id, "the mark");
  const text = typeof id === "number" && Number.isSafeInteger(id) ? String(id) : id;
  if (typeof text !== "string" || text === "" || text.length > 200 || /[\s\p{Cc}]/u.test(text))
    throw invalidArgument(`a mark is { replayId }, with a replay id as text, not with ${formatValue(id)}`);
  return text;
}

/** What waits to be saved, and what was handed out and not dealt with. */
export class Marks {
  readonly #storage: ReplayStorage;
  readonly #policy: ReplayPolicy;
  /** The newest of each channel that is not saved. */
  #unsaved = new Map<string, Message>();
  #saving: Promise<void> | undefined;
  #previous: Message | undefined;
  /** With `manual`: what was handed out, in its order. */
  #open = new Map<string, { message: Message; isDone: boolean }[]>();
  #entries = new WeakMap<Message, { message: Message; isDone: boolean }>();

  constructor(storage: ReplayStorage, policy: ReplayPolicy) {
    this.#storage = storage;
    this.#policy = policy;
  }

  async find(channel: string): Promise<string | undefined> {
    let mark: ReplayMarker | null | undefined;
    try {
      mark = await this.#storage.get(withoutFilter(channel));
    } catch (cause) {
      throw failed("read", cause);
    }
    // Something that is no mark is not taken for none: the channel would start as if it were new.
    return mark === undefined || mark === null ? undefined : checkedMark(mark.replayId);
  }

  /** A message is handed out. */
  hand(message: Message): Promise<void> | undefined {
    if (this.#policy === "automatic") return this.#save(message);
    if (this.#policy === "next") return this.#save(this.#replace(message));
    this.#expect(message);
    return undefined;
  }

  /** A listener gets a message, and has dealt with it. */
  done(message: Message): Promise<void> | undefined {
    if (this.#policy !== "manual") return this.#save(message);
    return undefined;
  }

  ack(message: Message): Promise<void> {
    if (this.#policy !== "manual") return Promise.resolve();
    const entry = this.#entries.get(message);
    // A listener acknowledges it while it has it.
    if (!entry) return this.#save(message) ?? Promise.resolve();
    entry.isDone = true;
    const channel = withoutFilter(message.channel);
    const open = this.#open.get(channel) ?? [];
    let newest: Message | undefined;
    while (open[0]?.isDone) newest = open.shift()!.message;
    return (newest && this.#save(newest)) ?? Promise.resolve();
  }

  /** What the last message handed out leaves to be saved. */
  async settle(): Promise<void> {
    await this.#save(this.#replace(undefined));
    await this.#saving;
  }

  #expect(message: Message): void {
    if (message.replayId === undefined) return;
    const channel = withoutFilter(message.channel);
    const entry = { message, isDone: false };
    this.#entries.set(message, entry);
    const open = this.#open.get(channel);
    if (open) open.push(entry);
    else this.#open.set(channel, [entry]);
  }

  #replace(message: Message | undefined): Message | undefined {
    const previous = this.#previous;
    this.#previous = message;
    return previous;
  }

  /** One at a time; what comes meanwhile goes together. */
  #save(message: Message | undefined): Promise<void> | undefined {
    if (message === undefined || message.replayId === undefined) return undefined;
    this.#unsaved.set(withoutFilter(message.channel), message);
    const write = async () => {
      const batch = this.#unsaved;
      this.#unsaved = new Map();
      for (const [channel, { replayId, createdDate }] of batch) {
        await this.#storage.set(channel, {
          replayId: replayId!,
          ...(createdDate !== undefined && { date: createdDate }),
        });
      }
    };
    // Behind the one that runs: that may have started without this one.
    const saving = (this.#saving ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => (this.#unsaved.size > 0 ? write() : undefined));
    const guarded = saving.catch((cause: unknown) => {
      throw failed("saved", cause);
    });
    guarded.catch(() => undefined);
    this.#saving = guarded;
    return guarded;
  }
}

function failed(what: string, cause: unknown): FerryError {
  if (cause instanceof FerryError) return cause;
  return new FerryError(
    "ERR_STORE",
    `how far a channel got could not be ${what}: ${(cause as Error)?.message ?? String(cause)}`,
    { cause },
  );
}
