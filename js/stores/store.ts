/**
 * Where an outbox keeps events until they are delivered. A store is small and dumb: it keeps what it is told to,
 * in one piece or not at all, and gives the oldest first. Write your own for any place that can do that.
 *
 * What every store promises:
 * - `write` does all of a change or nothing. When it has resolved, the change survives what `durability` says.
 * - A change may come twice, because an error does not tell whether the change was made: doing it again changes nothing.
 *   A segment with a key that is there replaces it; to remove what is not there is no error.
 * - Keys sort by age, compared as text. `peek` and `dead` give the smallest keys first.
 * - Calls may overlap; changes take effect in the order in which `write` was called.
 * - Both sides keep the arrays that go to and fro: nobody writes into them, nobody transfers them.
 * - No key stands in `put` and in `remove` of the same change.
 */
import type { FerryErrorCode } from "../engine/errors.js";

/** Events that were committed together. */
export interface Segment {
  /** Unique among all who share the store, and made of characters that sort by their code: `0-9`, `A-Z`, `a-z`, `-` and `.`. */
  readonly key: string;
  /** The JSON texts of the events in UTF-8, parted by one comma each. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** How many bytes each text has. */
  readonly sizes: Uint32Array<ArrayBuffer>;
  /** One number for each event: events with the same number other than 0 are delivered in order. Left out if all are 0. */
  readonly orderingKeys?: Uint32Array<ArrayBuffer>;
  /** When it was committed, in Unix milliseconds. */
  readonly at: number;
}

/** An event that cannot be delivered, and why. It stays until it is replayed or removed. */
export interface DeadLetter {
  /** As for a segment. */
  readonly key: string;
  /** The JSON text of the event in UTF-8. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Its number among `orderingKeys`. */
  readonly orderingKey: number;
  /** When it died, in Unix milliseconds. */
  readonly at: number;
  readonly code: FerryErrorCode;
  /** The HTTP status, 0 if there was none. */
  readonly status: number;
  readonly reason: string;
  /** How many requests had it in them. */
  readonly attempts: number;
}

/** What shall be different, all at once. */
export interface Change {
  readonly put: readonly Segment[];
  /** Keys of segments. */
  readonly remove: readonly string[];
  readonly deadPut: readonly DeadLetter[];
  /** Keys of dead letters to take away. */
  readonly deadRemove: readonly string[];
}

/** What a store has in it. */
export interface StoreCounts {
  /** Events in segments. */
  events: number;
  /** Bytes of their bodies. */
  bytes: number;
  /** Dead letters. */
  dead: number;
  /** Bytes of theirs. */
  deadBytes: number;
}

/**
 * What survives: `none` nothing; `process` the end of the page or process as a rule, but not a crash; `os` a crash of the
 * process; `disk` a loss of power; `replicated` the loss of the machine.
 */
export type Durability = "none" | "process" | "os" | "disk" | "replicated";

export interface StoreTraits {
  readonly durability: Durability;
  /** Whether other tabs or processes may have the same store open. */
  readonly isShared: boolean;
}

/** How much `peek` may give. At least one segment is given if there is one, however large. */
export interface PeekLimit {
  readonly events: number;
  readonly bytes: number;
  /** Keys to leave out. */
  readonly skip: ReadonlySet<string>;
}

export interface OutboxStore {
  /** What it is called in messages and in `stats()`. */
  readonly kind: string;
  /** Makes it ready, and proves with a real write that it works. Asked once. Rejects if the place is blocked or in use by others. */
  open(name: string): Promise<StoreTraits>;
  write(change: Change): Promise<void>;
  peek(limit: PeekLimit): Promise<Segment[]>;
  /** The oldest dead letters. */
  dead(limit: number): Promise<DeadLetter[]>;
  /** Asked when the outbox is opened. */
  count(): Promise<StoreCounts>;
  /** Releases what it holds; what it keeps stays. */
  close(): Promise<void>;
  /**
   * For a shared store where there are no Web Locks: makes `owner` the one who delivers, for so many milliseconds from now. False if
   * somebody else is at present. For 0 milliseconds it gives the lease back. Changes are taken from everybody: what one who has lost the lease
   * still has to say of its own requests is true, and refusing it would only send them again.
   */
  acquire?(owner: string, forMs: number): Promise<boolean>;
  /** Asks the platform to start us again at that time, because something waits. `undefined`: nothing does. */
  wakeAt?(unixMs: number | undefined): Promise<void>;
}
