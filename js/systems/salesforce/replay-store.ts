/** Keeps replay positions in one of the stores of this package. */
import { checkOptionNames } from "../../client/options.js";
import { FerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import { unixNow } from "../../platform/clock.js";
import { problemListener } from "../../stores/problem-listener.js";
import type { OutboxStore, StoreProblemListener } from "../../stores/store.js";
import { checkPolicy, type ReplayMarker, type ReplayPolicy, type ReplayStorage, startPosition } from "./replay.js";
import { TextDecoder, TextEncoder } from "../../platform/text.js";

/** Options of `replayStore`. */
export interface ReplayStoreOptions {
  /** When a position is saved. @default "automatic" */
  policy?: ReplayPolicy;
  /** Where a channel starts that has no stored position. @default "new" */
  initial?: "new" | "all" | number | string;
  /**
   * Called when the store has found that something in it is damaged or was deleted, with an `ERR_STORE`: a channel whose
   * position was lost starts at `initial`. @default the first one is shown in the console
   */
  onProblem?: (error: FerryError) => void;
}

/**
 * Keeps replay positions in a store: memory, IndexedDB, localStorage, a file, a Durable Object, Deno KV. An outbox
 * needs another store. `close` closes the store.
 *
 * @example
 * const client = new SalesforceClient(auth, { replay: replayStore(fileStore("replay"), { policy: "manual" }) });
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`; the methods of the storage: `ERR_STORE`
 */
export function replayStore(
  store: OutboxStore,
  options: ReplayStoreOptions = {},
): ReplayStorage & {
  /** Writes the last marks and closes the store. */
  close(): Promise<void>;
} {
  checkOptionNames("replayStore", options, ["policy", "initial", "onProblem"]);
  if (typeof store?.write !== "function" || typeof store.peek !== "function")
    throw mustBe("store", "a store such as memoryStore() or fileStore(path)", store);
  const { policy, initial } = options;
  const onProblem = problemListener(options.onProblem);
  checkPolicy(policy);
  startPosition(initial ?? "new", "initial");
  let loading: Promise<Map<string, ReplayMarker>> | undefined;
  const markers = () => {
    loading ??= load(store, onProblem).catch((error: unknown) => {
      // The next call tries again.
      loading = undefined;
      throw error;
    });
    return loading;
  };
  return {
    ...(policy !== undefined && { policy }),
    ...(initial !== undefined && { initial }),
    get: async (channel) => (await markers()).get(channel),
    async set(channel, marker) {
      const known = await markers();
      const body = encoder.encode(
        JSON.stringify({ channel, replayId: marker.replayId, ...(marker.date !== undefined && { date: marker.date }) }),
      );
      const segment = { key: keyOf(channel), body, sizes: Uint32Array.of(body.length), at: unixNow() };
      await store.write({ put: [segment], remove: [], deadPut: [], deadRemove: [] });
      known.set(channel, marker);
    },
    /** Writes the last marks and closes the store. */
    async close() {
      if (!loading) return;
      await loading;
      loading = undefined;
      await store.close();
    },
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function load(store: OutboxStore, onProblem: StoreProblemListener): Promise<Map<string, ReplayMarker>> {
  await store.open("replay", onProblem);
  const markers = new Map<string, ReplayMarker>();
  for (const segment of await store.peek({ events: 1e6, bytes: 2 ** 30, skip: new Set() })) {
    const { channel, replayId, date } = parse(segment.body);
    if (typeof channel !== "string" || typeof replayId !== "string") {
      throw new FerryError(
        "ERR_STORE",
        "the store contains something else than replay markers; give each outbox and each replayStore its own store",
      );
    }
    markers.set(channel, { replayId, ...(typeof date === "string" && { date }) });
  }
  return markers;
}

function parse(body: Uint8Array): { channel?: unknown; replayId?: unknown; date?: unknown } {
  try {
    return (JSON.parse(decoder.decode(body)) as object | null) ?? {};
  } catch {
    return {};
  }
}

/** Stores accept only plain names as keys, so the channel is hex-encoded. */
function keyOf(channel: string): string {
  return `mark.${[...encoder.encode(channel)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
