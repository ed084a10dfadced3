/** What the methods and events of an outbox take and give. */
import type { Classify } from "../client/classify.js";
import type { FerryError } from "../engine/errors.js";
import type { FetchLike } from "../platform/fetch.js";
import type { Durability } from "../stores/store.js";
import type { DeadEvent } from "./dead-letters.js";
import type { DefaultIdentity } from "./identity.js";
import type { MachineConfig } from "./options.js";
import type { HeaderSource, SignBatch } from "./sender.js";
import type { Wire } from "./wire.js";
import type { RequestCredentials } from "../platform/web-types.js";

/** What `drain` reports. */
export interface DrainReport {
  /** Events delivered since the outbox was opened. */
  delivered: number;
  /** Dead letters in the store. */
  dead: number;
  /** Events that are still to be delivered. */
  pending: number;
  /** Whether the wait ended before everything was delivered. */
  aborted: boolean;
}

/**
 * `accepted` is always the sum of `delivered`, `dead`, `pending` and `purged`. Events found in the store count as
 * accepted.
 */
export interface OutboxStats {
  /** Events that are published and not flushed. */
  staged: number;
  /** Events that are or were stored, or that the server accepted before they were stored. */
  accepted: number;
  /** Events that the server accepted. */
  delivered: number;
  /** Dead letters. */
  dead: number;
  /** Accepted events that are still to be delivered. */
  pending: number;
  /** Stored events of other identities at the same destination, as far as known. No other member counts them. */
  held: number;
  /** Events deleted by `purge`, `dead.remove` or `signOut`, and dead letters that expired. */
  purged: number;
  /** Dead letters that were removed because of their age or their share of the room. They are among `purged`. */
  deadExpired: number;
  /** Bytes of staged and stored events, dead letters included. */
  bytes: number;
  /** Age of the oldest undelivered event, as far as known, in milliseconds. */
  oldestMs: number;
  /** Requests sent. */
  attempts: number;
  /** Events that were refused or dropped because the outbox was full. None of them was accepted. */
  droppedBy: {
    /** Events for which `publish` threw. */
    reject: number;
    /** Events that `overflow: "drop-oldest"` dropped. */
    dropOldest: number;
    /** Events that `overflow: "drop-newest"` dropped. */
    dropNewest: number;
  };
  /** The kind of the store; `undefined` until it is open. */
  store: string | undefined;
  /** What a stored event survives; `undefined` until the store is open. */
  durability: Durability | undefined;
  /** Whether this tab or process is the one that sends. */
  isLeader: boolean;
}

/** Events of an outbox, by type. */
export interface OutboxEvents {
  /** Events were stored. */
  accepted: CustomEvent<{
    /** Their ids. */
    ids: string[];
  }>;
  /** The server accepted events. */
  delivered: CustomEvent<{
    /** Their ids. */
    ids: string[];
    /** The HTTP status of the response. */
    status: number;
    /** How many requests contained them. */
    attempts: number;
  }>;
  /** A request failed and will be repeated after `delayMs`. `failures`: how many failed in a row. */
  retry: CustomEvent<{
    /** Why the request failed. */
    error: FerryError;
    /** Time until the next request, in milliseconds. */
    delayMs: number;
    /** How many requests failed in a row. */
    failures: number;
  }>;
  /** Dead letters were removed, because they were too old or had used up their share of the room. */
  "dead-expired": CustomEvent<{
    /** Their ids. */
    ids: string[];
  }>;
  /** An event became a dead letter. */
  dead: CustomEvent<{
    /** Its id. */
    id: string;
    /** Why it will not be sent any more. */
    error: FerryError;
    /** How many requests contained it. */
    attempts: number;
  }>;
  /** The outbox is 80 % full (`isHigh`), or less than 60 % again. */
  pressure: CustomEvent<{
    /** Whether more than 80 % of `maxBytes` is used. */
    isHigh: boolean;
    /** Bytes in use. */
    bytes: number;
  }>;
  /**
   * The store failed, or the server refuses all requests: no event is lost, but the cause needs attention. Or the store
   * has found that something in it is damaged or was deleted: the message says what.
   */
  degraded: CustomEvent<{
    /** What happened; the message says what to do. */
    error: FerryError;
  }>;
  /** This tab or process became the one that sends, or stopped being it. */
  leader: CustomEvent<{
    /** Whether this tab or process sends now. */
    leads: boolean;
  }>;
}

/** What happens to the undelivered events of a user who signs out. */
export interface SignOutOptions {
  /**
   * `"send"`: they are sent first, and what is left at the deadline is held. `"hold"`: they stay in the store until the
   * same identity is back. `"drop"`: they are deleted, dead letters included.
   */
  pending: "send" | "hold" | "drop";
  /** How long `signOut` waits for the server and the store, in milliseconds. @default 10 000 */
  deadlineMs?: number;
}

/** What happened to them. */
export interface SignOutReport {
  /** Events that were delivered since the call. */
  delivered: number;
  /** Events that wait in the store until their identity is back. */
  held: number;
  /** Events that were deleted. */
  dropped: number;
}

/** What a system gives its outbox. @internal */
export interface OutboxSystem<E> {
  /** The name of the system. Outboxes of different systems share nothing. */
  system: string;
  wire: Wire<E>;
  url: string;
  /** The identity where the option is missing. */
  identity: DefaultIdentity;
  fetch: FetchLike | undefined;
  timeoutMs: number;
  headers: HeaderSource;
  classify?: Classify | undefined;
  credentials?: RequestCredentials | undefined;
  /** @default true */
  keepalive?: boolean | undefined;
  sign?: SignBatch | undefined;
  beforeSend?: ((event: E) => E | null) | undefined;
  /** Options of the machine that the protocol requires, by the names of `OUTBOX_OPTIONS`. */
  config: MachineConfig;
}

/** Limits for the work after one call of an edge function. */
export interface KeepAliveOptions {
  /**
   * How long the work of one call may go on, in milliseconds. Workers allow 30 s after the response.
   * @default 25 000
   */
  budgetMs?: number;
  /** How many requests may start from now on. @default no limit */
  maxRequests?: number;
}

/** Access to dead letters. */
export interface DeadLetters {
  /** The oldest dead letters. @default 100 at most */
  list(limit?: number): Promise<DeadEvent[]>;
  /** Sends the events with these ids again. Their ids stay the same. Returns how many there were. @default all */
  replay(ids?: Iterable<string>): Promise<number>;
  /** Deletes the events with these ids. Returns how many there were. */
  remove(ids: Iterable<string>): Promise<number>;
}
