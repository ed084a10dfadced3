/** Replay positions: what is stored for a channel, where, and when. */
import { FerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";

/** The replay position of a channel. */
export interface ReplayMarker {
  /** Id of the last event. A string, because ids of Salesforce exceed the integers of JavaScript. */
  readonly replayId: string;
  /** When that event was created, in ISO 8601. */
  readonly date?: string;
}

/**
 * When a replay position is saved:
 * - `automatic`: before `receive` returns the message, or after its listener is done. At most once: a crash in between
 *   loses one message.
 * - `next`: when the next message is requested, which shows that the previous one was processed. At least once.
 * - `manual`: when the message and all before it were acknowledged with `ack`. At least once.
 */
export type ReplayPolicy = "automatic" | "next" | "manual";

/** Stores the replay positions of channels. A `Map` is one. */
export interface ReplayStorage {
  /** The mark of a channel, or `undefined` if there is none. */
  get(channel: string): ReplayMarker | undefined | null | Promise<ReplayMarker | undefined | null>;
  /** May return a promise. */
  set(channel: string, marker: ReplayMarker): unknown;
  /** @default "automatic" */
  readonly policy?: ReplayPolicy;
  /** Where a channel starts that has no stored position. @default "new" */
  readonly initial?: "new" | "all" | number | string;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkPolicy(policy: unknown): void {
  if (policy !== undefined && !["automatic", "next", "manual"].includes(policy as string))
    throw mustBe("policy", '"automatic", "next" or "manual"', policy);
}

/**
 * Where to start, as Salesforce expects it: -1 for new events, -2 for all.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function startPosition(start: unknown, name: string): string {
  if (start === "new") return "-1";
  if (start === "all") return "-2";
  const text = typeof start === "number" && Number.isSafeInteger(start) ? String(start) : start;
  if (typeof text !== "string" || !/^-?\d{1,200}$/.test(text)) {
    const advice = typeof start === "object" ? "pass a store of events as replayStore(store)" : undefined;
    throw mustBe(name, '"new", "all" or a replay id', start, advice);
  }
  return text;
}

/**
 * The replay id of a stored marker. Replay ids are opaque, so any id that fits into a message is accepted.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function storedReplayId(id: unknown): string {
  if (id === "new" || id === "all") return startPosition(id, "replayId of a stored marker");
  const text = typeof id === "number" && Number.isSafeInteger(id) ? String(id) : id;
  if (typeof text !== "string" || text === "" || text.length > 200 || /[\s\p{Cc}]/u.test(text))
    throw mustBe("replayId of a stored marker", "a replay id as text", id);
  return text;
}

/** The error of a storage that could not `read` or `save` a position. */
export function storageError(action: "read" | "save", cause: unknown): FerryError {
  if (cause instanceof FerryError) return cause;
  const reason = (cause as Error)?.message ?? String(cause);
  return new FerryError("ERR_STORE", `failed to ${action} the replay position: ${reason}`, { cause });
}
