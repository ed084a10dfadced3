/**
 * The interface of a store: where an outbox keeps events until they are delivered. Implement `OutboxStore` for any
 * place that can apply a change atomically and list rows by key.
 *
 * The contract of every store:
 * - `write` applies all of a change or nothing. Once it has resolved, the change survives what `durability` says.
 * - A change may be written twice, because an error does not tell whether the change was applied. The second time
 *   changes nothing: a row with an existing key replaces it, and the removal of a missing key is not an error.
 * - Keys are compared as text, by the code of their characters. The smallest key is the oldest. `peek` and `dead`
 *   return the smallest keys first.
 * - Calls may overlap. Changes take effect in the order in which `write` was called.
 * - Neither side modifies or transfers the arrays that are passed.
 * - No key is in both `put` and `remove`, or in both `deadPut` and `deadRemove`, of one change.
 * - Every method rejects with an `Error` if the place fails. The outbox retries, so a rejection must leave the store
 *   usable.
 * - One row that cannot be read does not make a method reject: `peek`, `dead` and `count` leave it out, and the store
 *   tells of it through `onProblem` of `open`, once. The row stays as it is, because a newer version of the program may
 *   read it; `remove` and `deadRemove` remove it like others.
 */
import type { Bytes, Uint32s } from "../platform/bytes.js";
import type { FerryError, FerryErrorCode } from "../engine/errors.js";

/** Events that were committed together. A store keeps a segment whole. */
export interface Segment {
  /**
   * Unique among all users of the store. Consists of `0-9`, `A-Z`, `a-z`, `-` and `.`. It begins with the scope of its
   * outbox, a digest of destination and identity, and a `.`; within a scope it sorts by age.
   */
  readonly key: string;
  /** The JSON texts of the events in UTF-8, separated by one comma each. */
  readonly body: Bytes;
  /** The length of each JSON text in bytes. There is one element for each event. */
  readonly sizes: Uint32s;
  /**
   * The ordering key of each event: events with the same key other than 0 are delivered in order.
   *
   * @default all are 0
   */
  readonly orderingKeys?: Uint32s;
  /** When the segment was committed, as Unix time in milliseconds. */
  readonly at: number;
  /**
   * What the outbox remembers of requests with these events. Only written in pages. A store may leave it out: then the
   * next page may send events while an earlier one still waits for the answer. @default nothing
   */
  readonly progress?: readonly number[] | undefined;
  /**
   * Whether the application has replayed the events: each is sent once, even if it has expired. Only written where events
   * expire. A store may leave it out: then a replayed event that has expired may become a dead letter again unsent.
   *
   * @default false
   */
  readonly isReplayed?: boolean;
}

/** An event that could not be delivered, and why. It stays until it is replayed or removed. */
export interface DeadLetter {
  /** As `Segment.key`, but in a key space of its own. */
  readonly key: string;
  /** The JSON text of the event in UTF-8. */
  readonly body: Bytes;
  /** The ordering key of the event; 0 if it has none. */
  readonly orderingKey: number;
  /** When delivery was given up, as Unix time in milliseconds. */
  readonly at: number;
  /** The code of the error that ended delivery. */
  readonly code: FerryErrorCode;
  /** The HTTP status of that error, 0 if there was none. */
  readonly status: number;
  /** The message of that error. */
  readonly reason: string;
  /** The number of requests that contained the event. */
  readonly attempts: number;
  /**
   * False if the event was not refused alone: all events of its batch that were sent alone were refused.
   *
   * @default true
   */
  readonly refusedAlone?: boolean;
}

/** A set of changes that a store applies atomically. Each list may be empty. */
export interface Change {
  /** Segments to insert, or to replace if the key exists. */
  readonly put: readonly Segment[];
  /** Keys of segments to remove. */
  readonly remove: readonly string[];
  /** Dead letters to insert, or to replace if the key exists. */
  readonly deadPut: readonly DeadLetter[];
  /** Keys of dead letters to remove. */
  readonly deadRemove: readonly string[];
  /**
   * Whether the change only removes segments whose events were delivered. It need not survive a loss of power, because
   * the events would only be delivered again. A store may ignore this.
   *
   * @default false
   */
  readonly isDelivered?: boolean;
}

/** How much a store contains. */
export interface StoreCounts {
  /** The number of events in all segments. */
  events: number;
  /** The bytes of the bodies of all segments. */
  bytes: number;
  /** The number of dead letters. */
  dead: number;
  /** The bytes of the bodies of all dead letters. */
  deadBytes: number;
  /**
   * The largest key of a segment, so that new keys are larger even if the clock was set back.
   *
   * @default nothing is known
   */
  lastKey?: string | undefined;
}

/**
 * What a resolved change survives. `none`: nothing. `process`: the end of the page or process, but not every crash.
 * `os`: a crash of the process. `disk`: a loss of power. `replicated`: the loss of the machine.
 */
export type Durability = "none" | "process" | "os" | "disk" | "replicated";

/** The properties of an open store. */
export interface StoreTraits {
  /** What a resolved change survives. */
  readonly durability: Durability;
  /** Whether other tabs or processes may have the same store open. They then elect a leader, which alone sends. */
  readonly isShared: boolean;
  /**
   * Whether `peek`, `dead` and `count` accept a prefix. Without it, the outbox reads the rows of all identities and
   * leaves out those of the others, which takes longer.
   *
   * @default false
   */
  readonly supportsPrefix?: boolean;
  /**
   * Tells places of the same kind apart, for the lock of the leader: two stores with the same kind and place have the
   * same rows. @default ""
   */
  readonly place?: string;
}

/** How much `peek` returns. */
export interface PeekLimit {
  /** The maximum number of events in the returned segments. */
  readonly events: number;
  /** The maximum number of bytes in the bodies of the returned segments. */
  readonly bytes: number;
  /** Keys of segments to leave out. */
  readonly skip: ReadonlySet<string>;
  /** Only segments whose keys begin with this. Not given to stores without `supportsPrefix`. @default all segments */
  readonly prefix?: string;
}

/** Told of problems that a store has found and that did not make a method reject. It does not throw. */
export type StoreProblemListener = (error: FerryError) => void;

/** The keys of rows that cannot be read. */
export interface UnreadableKeys {
  /** As `Segment.key`. */
  readonly segments: readonly string[];
  /** As `DeadLetter.key`. */
  readonly deadLetters: readonly string[];
}

/** A place where an outbox keeps events until they are delivered. The contract is at the top of this file. */
export interface OutboxStore {
  /** The name of this kind of store, for messages and `stats()`, for example `"indexeddb"`. */
  readonly kind: string;
  /**
   * Opens the store. Called once, before all other methods. It must verify with a real write that the place works.
   *
   * @param name a digest of the destination of the outbox; stores with different names share nothing
   * @param onProblem told of damage and lost content, then and later; the outbox has a `degraded` event for each call.
   * A store may ignore it
   * @returns the properties of the store
   * @throws if the place is missing, blocked or in use, or if it is full
   */
  open(name: string, onProblem?: StoreProblemListener): Promise<StoreTraits>;
  /**
   * Applies all of a change or nothing. Resolves once the change is as durable as `StoreTraits.durability` says.
   *
   * @throws if the change was not applied, or if that is unknown
   */
  write(change: Change): Promise<void>;
  /**
   * Returns the oldest segments, up to the limit, without removing them. Returns at least one segment, however large,
   * if there is one that `limit.skip` does not name.
   */
  peek(limit: PeekLimit): Promise<Segment[]>;
  /**
   * Returns at most `limit` dead letters, the oldest first, without removing them.
   *
   * @param prefix only dead letters whose keys begin with this. Not given to stores without `supportsPrefix`
   */
  dead(limit: number, prefix?: string): Promise<DeadLetter[]>;
  /**
   * Returns how much the store contains. Called after `open`.
   *
   * @param prefix only rows whose keys begin with this. Not given to stores without `supportsPrefix`
   */
  count(prefix?: string): Promise<StoreCounts>;
  /** Returns the keys of rows that cannot be read, so that a purge can remove them too. */
  unreadable?(): Promise<UnreadableKeys>;
  /** Releases connections, locks and files. The content stays. */
  close(): Promise<void>;
  /**
   * Acquires or renews the lease of the sender, for shared stores where the platform has no Web Locks. `write` accepts
   * changes from everyone: the reports of a former leader about its own requests are still true, and without them these
   * events would be sent again.
   *
   * A lease that ends later than its duration from now was acquired before a clock was set back: it is over too. A second
   * should be allowed for the clocks of different machines.
   *
   * @param owner the caller; the same value renews its lease
   * @param durationMs how long the lease lasts from now, in milliseconds; 0 releases it
   * @param scope the scope of the rows that the owner wants to send. There is one lease for each scope. In a store that
   * ignores it, one identity sends at a time.
   * @returns false if another owner has the lease
   */
  acquire?(owner: string, durationMs: number, scope: string): Promise<boolean>;
  /**
   * Asks the platform to start the program again at a time, because events are pending, for platforms that stop idle
   * programs.
   *
   * @param unixMs Unix time in milliseconds; `undefined` cancels the request
   */
  wakeAt?(unixMs: number | undefined): Promise<void>;
}
