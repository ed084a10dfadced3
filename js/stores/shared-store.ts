/**
 * One open store, divided among identities. Each has a view of the rows whose keys begin with its scope:
 *
 * ```text
 *   driver of Ann ──> view "3f…." ──┐
 *   driver of Bob ──> view "9c…." ──┴──> store
 * ```
 */
import type { ElectionScope } from "../platform/leader.js";
import { openAuto, type OpenedStore } from "./auto.js";
import { type BackupTarget, PageBackup } from "./page-backup.js";
import { countsOf } from "./peek-limit.js";
import type {
  DeadLetter,
  OutboxStore,
  PeekLimit,
  Segment,
  StoreCounts,
  StoreProblemListener,
  StoreTraits,
} from "./store.js";

/** How much is read at a time from a store that does not support prefixes. */
const GROUP_EVENTS = 1000;
const GROUP_BYTES = 4 * 1024 * 1024;
const NO_KEYS: ReadonlySet<string> = new Set();

export class SharedStore {
  /** Called when events of other pages were moved into the store: by this page, or perhaps by another one. */
  onMoved: (isOwn: boolean) => void = () => undefined;
  readonly #option: OutboxStore | "auto";
  readonly #name: string;
  readonly #backup: PageBackup;
  #opening: Promise<StoreTraits> | undefined;
  #store: OutboxStore | undefined;
  #traits: StoreTraits | undefined;
  #refused: readonly Error[] = [];
  #isClosed = false;
  /** When each scope wants to be woken up, in Unix milliseconds. */
  readonly #wakeUps = new Map<string, number>();

  /** @param name the name for `OutboxStore.open` */
  constructor(option: OutboxStore | "auto", name: string) {
    this.#option = option;
    this.#name = name;
    this.#backup = new PageBackup(name);
  }

  /** Whether `open` selects the store, which takes its own time. */
  get isAuto(): boolean {
    return this.#option === "auto";
  }

  /** The kind of the store; `"auto"` until one is selected. */
  get kind(): string {
    return this.#store?.kind ?? (this.#option === "auto" ? "auto" : this.#option.kind);
  }

  /** The better stores that did not work, when asked for the first time. */
  takeRefused(): readonly Error[] {
    const refused = this.#refused;
    this.#refused = [];
    return refused;
  }

  /**
   * Opens the store once for all views; the listener of the first call is told of damage. A slow `open` is not called
   * twice: it may succeed before the next attempt.
   */
  open(onProblem: StoreProblemListener): Promise<StoreTraits> {
    this.#opening ??= this.#open(onProblem).catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  /** Closes the store, also one that opens later. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#backup.unwatch();
    await this.#store?.close();
  }

  /**
   * The page is hidden or left before these segments are stored: saves them, for the next start if they are not stored
   * after all. Returns how many events found no room. Does nothing for a store in memory.
   *
   * @param isGone whether the page cannot come back: then other pages may move them to the store at once
   */
  backUp(segments: readonly Segment[], isGone: boolean): number {
    return segments.length === 0 || this.kind === "memory" ? 0 : this.#backup.save(segments, isGone);
  }

  /** Deletes what was saved of segments that nobody wants any more. */
  deleteBackup(keys: readonly string[]): void {
    this.#backup.written({ put: [], remove: keys, deadPut: [], deadRemove: [] });
  }

  /** The rows of one scope. Only once the store is open. `close` does nothing, because others may use the store. */
  view(scope: string): OutboxStore {
    const [store, traits] = [this.#store!, this.#traits!];
    const prefix = `${scope}.`;
    const isOwn = ({ key }: { key: string }) => key.startsWith(prefix);
    const canFilter = traits.supportsPrefix === true;
    // Filtered in any case: a store around another one may have lost the prefix, and rows of others must not be sent.
    const peek = (limit: PeekLimit) => peekWhere(store, canFilter ? { ...limit, prefix } : limit, isOwn);
    const dead = async (limit: number) => {
      const letters = canFilter ? await store.dead(limit, prefix) : await store.dead(Infinity);
      return letters.filter(isOwn).slice(0, limit);
    };
    return {
      kind: store.kind,
      open: async () => traits,
      write: async (change) => {
        await store.write(change);
        this.#backup.written(change);
      },
      peek,
      dead,
      count: async () => (canFilter ? store.count(prefix) : countAll(peek, await dead(Infinity))),
      ...(store.unreadable && {
        unreadable: async () => {
          const { segments, deadLetters } = await store.unreadable!();
          const own = (keys: readonly string[]) => keys.filter((key) => key.startsWith(prefix));
          return { segments: own(segments), deadLetters: own(deadLetters) };
        },
      }),
      close: async () => undefined,
      ...(store.wakeAt && { wakeAt: (unixMs) => this.#wakeAt(scope, unixMs) }),
    };
  }

  /** The segments with these keys, by key. Only once the store is open. */
  find(keys: ReadonlySet<string>): Promise<Map<string, Segment>> {
    return findSegments(this.#store!, this.#traits!, keys);
  }

  /** The election for one scope. Only once the store is open. */
  electionScope(scope: string): ElectionScope {
    const { isShared, place = "" } = this.#traits!;
    const store = this.#store!;
    const lease =
      store.acquire && (async (owner: string, durationMs: number) => store.acquire!(owner, durationMs, scope));
    return { name: `${store.kind}:${place}:${scope}`, isShared, lease };
  }

  /** What all scopes have together. Only once the store is open. */
  count(): Promise<StoreCounts> {
    return this.#store!.count();
  }

  /** The segments of all scopes but those given, the oldest of each scope first. Only once the store is open. */
  async *others(scopes: ReadonlySet<string>): AsyncGenerator<Segment[]> {
    for await (const segments of allSegments((limit) => peekSegments(this.#store!, limit)))
      yield segments.filter(({ key }) => !scopes.has(scopeOf(key)));
  }

  async #open(onProblem: StoreProblemListener): Promise<StoreTraits> {
    const option = this.#option;
    const opened =
      option === "auto"
        ? await openAuto(this.#name, onProblem)
        : { store: option, traits: await option.open(this.#name, onProblem), refused: [] };
    if (!opened.traits?.durability) throw new Error("open must resolve with durability and isShared");
    // The outbox was closed meanwhile, and did not wait for this.
    if (this.#isClosed) await opened.store.close();
    else if (opened.traits.durability !== "none") await this.#moveBackup(opened, onProblem);
    this.#refused = opened.refused;
    this.#store = opened.store;
    this.#traits = opened.traits;
    return opened.traits;
  }

  async #moveBackup({ store, traits }: Pick<OpenedStore, "store" | "traits">, onProblem: StoreProblemListener) {
    const target: BackupTarget = {
      find: (keys) => findSegments(store, traits, keys),
      put: (put) => store.write({ put, remove: [], deadPut: [], deadRemove: [] }),
      onProblem,
    };
    await this.#backup.moveTo(target);
    if (!this.#isClosed) this.#backup.watch(target, (isOwn) => this.onMoved(isOwn));
  }

  async #wakeAt(scope: string, unixMs: number | undefined): Promise<void> {
    if (unixMs === undefined) this.#wakeUps.delete(scope);
    else this.#wakeUps.set(scope, unixMs);
    const earliest = Math.min(...this.#wakeUps.values());
    await this.#store!.wakeAt!(Number.isFinite(earliest) ? earliest : undefined);
  }
}

/** The scope of a row: what is before the first `.` of its key. */
export function scopeOf(key: string): string {
  return key.slice(0, Math.max(0, key.indexOf(".")));
}

/** The segments with these keys that a store has, by key. */
async function findSegments(
  store: OutboxStore,
  traits: StoreTraits,
  keys: ReadonlySet<string>,
): Promise<Map<string, Segment>> {
  const found = new Map<string, Segment>();
  const add = (segments: readonly Segment[]) => {
    for (const segment of segments) if (keys.has(segment.key)) found.set(segment.key, segment);
  };
  if (traits.supportsPrefix) {
    for (const prefix of keys) add(await peekSegments(store, { events: 1, bytes: 1, skip: NO_KEYS, prefix }));
  } else {
    for await (const segments of allSegments((limit) => peekSegments(store, limit))) add(segments);
  }
  return found;
}

/** `peek`, with a check of what it resolves with. */
async function peekSegments(store: OutboxStore, limit: PeekLimit): Promise<Segment[]> {
  const segments = [...(await store.peek(limit))];
  const isSegment = ({ key, body, sizes }: Segment) =>
    typeof key === "string" && ArrayBuffer.isView(body) && ArrayBuffer.isView(sizes);
  if (!segments.every(isSegment)) throw new Error("peek must resolve with segments");
  return segments;
}

/** `peek` of the segments for which `isWanted` is true, in a store that cannot select them. */
async function peekWhere(
  store: OutboxStore,
  limit: PeekLimit,
  isWanted: (segment: Segment) => boolean,
): Promise<Segment[]> {
  const skip = new Set(limit.skip);
  for (;;) {
    const segments = await peekSegments(store, { ...limit, skip });
    const wanted = segments.filter(isWanted);
    if (wanted.length > 0 || !addKeys(skip, segments)) return wanted;
  }
}

/** All segments, in groups. */
async function* allSegments(peek: (limit: PeekLimit) => Promise<Segment[]>): AsyncGenerator<Segment[]> {
  const skip = new Set<string>();
  for (;;) {
    const segments = await peek({ events: GROUP_EVENTS, bytes: GROUP_BYTES, skip });
    if (!addKeys(skip, segments)) return;
    yield segments;
  }
}

/** Returns whether there were new keys. A store that ignores `skip` must not be read for ever. */
function addKeys(skip: Set<string>, segments: readonly Segment[]): boolean {
  const { size } = skip;
  for (const { key } of segments) skip.add(key);
  return skip.size > size;
}

async function countAll(
  peek: (limit: PeekLimit) => Promise<Segment[]>,
  letters: readonly DeadLetter[],
): Promise<StoreCounts> {
  const counts = countsOf([], letters);
  for await (const segments of allSegments(peek)) countsOf(segments, [], counts);
  return counts;
}
