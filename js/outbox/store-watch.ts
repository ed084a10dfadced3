/**
 * Looks into the store for what other tabs and processes have done with events that were committed here. Their messages
 * do not reach other processes, and a tab may be closed before it sends one.
 *
 * ```text
 *   idle ──segments are only in the store, or somebody waits for an empty store──> watching ──look──> look ended
 *     ▲                                                                               ▲ │ after an interval  │
 *     └──────────────────────nothing is left to watch─────────────────────────────────┴─┴────────────────────┘
 * ```
 */
import { FerryError } from "../engine/errors.js";
import { startIdleTimer, startTimer, stopTimer, type Timer } from "../platform/clock.js";
import type { DeadLetter } from "../stores/store.js";
import type { SegmentTable } from "./segment-table.js";
import type { StoreClient } from "./store-client.js";
import { textsOf } from "./stored-events.js";
import type { TrackedSegment } from "./tracked-segment.js";
import type { Wire } from "./wire.js";

export interface StoreWatchOptions<E> {
  client: StoreClient;
  segments: SegmentTable<E>;
  wire: Wire<E>;
  /** Whether this tab or process is the one that sends: then the machine reads the store. */
  isLeader(): boolean;
  /** Whether others tell at once what they do. */
  hasNews(): boolean;
  /** Others have settled so many events of a segment, with so many bytes. */
  onSettled(segment: TrackedSegment, settled: { delivered: number; dead: number }, bytes: number): void;
  /** A look has ended. */
  onLook(): void;
  /** This leader shall read the store, because nobody tells it what others have stored. */
  onSearch(): void;
}

/** Interval at which a leader without news reads the store: it doubles while nothing is found. */
const MIN_SEARCH_MS = 250;
const MAX_SEARCH_MS = 5000;

/** Interval of the looks where nothing else tells what others do, and where only a lost message is made up for. */
const LOOK_MS = 1000;
const RARE_LOOK_MS = 5000;
/** How many segments one look searches for. */
const MAX_KEYS = 64;

export class StoreWatch<E> {
  /** How many events the store had at the last look, if somebody waits for it to be empty. */
  storedEvents: number | undefined;
  readonly #options: StoreWatchOptions<E>;
  /** How many wait for an empty store. */
  #waiting = 0;
  #timer: Timer | undefined;
  #searchTimer: Timer | undefined;
  #searchMs = MIN_SEARCH_MS;
  #looking: Promise<void> | undefined;
  #isStopped = false;
  /** The key of the last segment that was searched for. */
  #lastKey = "";

  constructor(options: StoreWatchOptions<E>) {
    this.#options = options;
  }

  /** Counts what the store has, at intervals, until the returned function is called. */
  awaitEmpty(): () => void {
    this.#waiting++;
    this.storedEvents = undefined;
    if (!this.#options.isLeader()) void this.look();
    return () => {
      this.#waiting--;
      this.update();
    };
  }

  /** The leader has read the store. `isNew`: it has found something. */
  noteSearch(isNew: boolean): void {
    this.#searchMs = isNew ? MIN_SEARCH_MS : Math.min(this.#searchMs * 2, MAX_SEARCH_MS);
    this.#scheduleSearch();
  }

  #scheduleSearch(): void {
    stopTimer(this.#searchTimer);
    const { isLeader, hasNews, client, onSearch } = this.#options;
    if (this.#isStopped || !isLeader() || hasNews() || !client.traits?.isShared) return;
    this.#searchTimer = startIdleTimer(() => {
      if (isLeader() && !this.#isStopped) onSearch();
    }, this.#searchMs);
  }

  /** Starts or stops the looks, after something has changed. */
  update(): void {
    const { isLeader, hasNews, client } = this.#options;
    const watched = this.#watched();
    const isIdle = watched.length === 0 && this.#waiting === 0;
    if (this.#isStopped || isIdle || isLeader() || !client.traits?.isShared) {
      stopTimer(this.#timer);
      this.#timer = undefined;
      return;
    }
    this.#timer ??= startTimer(() => void this.look(), hasNews() && this.#waiting === 0 ? RARE_LOOK_MS : LOOK_MS);
    // Without it, Node would not exit when nobody waits.
    const timer = this.#timer as { ref?: () => void; unref?: () => void };
    if (this.#waiting > 0 || watched.some(({ hasWaiters }) => hasWaiters)) timer.ref?.();
    else timer.unref?.();
  }

  /** Looks now. Resolves when it is done, or the store failed. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      // The store failed. The next look tries again, and whoever writes to the store reports it.
      .catch(() => undefined)
      .finally(() => {
        this.#looking = undefined;
        stopTimer(this.#timer);
        this.#timer = undefined;
        this.update();
        if (!this.#isStopped) this.#options.onLook();
      });
    return this.#looking;
  }

  stop(): void {
    this.#isStopped = true;
    stopTimer(this.#timer);
    stopTimer(this.#searchTimer);
  }

  async #look(): Promise<void> {
    const { client, segments, wire } = this.#options;
    if (!client.store || this.#isStopped) return;
    if (this.#waiting > 0) this.storedEvents = (await client.count()).events;
    const searched = this.#nextSearched();
    if (searched.length === 0) return;
    const stored = await client.find(new Set(searched.map(({ key }) => key)));
    const isMissing = ({ key, pending }: TrackedSegment) => (stored.get(key)?.sizes.length ?? 0) < pending;
    const dead = searched.some(isMissing) ? await client.dead(Infinity) : [];
    for (const segment of searched) {
      // Meanwhile the machine may have found it, or a message may have told of it.
      if (this.#isStopped || segment.body || segments.getByKey(segment.key) !== segment) continue;
      const row = stored.get(segment.key);
      if (row && row.sizes.length >= segment.pending) continue;
      const before = segment.pendingBytes;
      const bytes = row?.sizes.reduce((sum, size) => sum + size, 0) ?? 0;
      const settled = segment.settleAbsent(
        new Set(row ? textsOf(row).map((text) => wire.idOf(text)) : []),
        bytes,
        this.#errorsOf(segment, dead),
      );
      this.#options.onSettled(segment, settled, before - segment.pendingBytes);
    }
  }

  /** The errors of the dead letters that were events of a segment, by id. */
  #errorsOf(segment: TrackedSegment, letters: readonly DeadLetter[]): Map<string, FerryError> {
    const own = letters.filter(({ key }) => key.startsWith(`${segment.key}.`) && !segment.hasDeadLetter(key));
    return new Map(
      own.map(({ body, code, reason, status }) => [
        this.#options.wire.idOf(body),
        new FerryError(code, reason, { status: status || undefined }),
      ]),
    );
  }

  /** Segments that are only in the store. */
  #watched(): TrackedSegment[] {
    return this.#options.segments.all().filter(({ body, isAccepted, pending }) => !body && isAccepted && pending > 0);
  }

  /** The segments to search for next: in turn, because there may be many. */
  #nextSearched(): TrackedSegment[] {
    const watched = this.#watched();
    if (watched.length <= MAX_KEYS) return watched;
    const from = watched.findIndex(({ key }) => key > this.#lastKey);
    const next = [...watched.slice(Math.max(0, from)), ...watched.slice(0, Math.max(0, from))].slice(0, MAX_KEYS);
    this.#lastKey = next[next.length - 1]!.key;
    return next;
  }
}
