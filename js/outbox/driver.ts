/**
 * What the machine of the outbox (`src/outbox/machine.rs`) decides is done from here.
 *
 * ```text
 *   session ──stage, commit──> machine ──┬─ write, look ──> keeper ──written, found──> machine
 *                                        ├─ dispatch ─────> sender ──> flight ──answer──> machine
 *                                        └─ accepted, delivered, died, forget ──> packets ──> receipts, events
 * ```
 */
import { FerryError, codeOf, isFerryError } from "../engine/errors.js";
import { Pump } from "../engine/pump.js";
import type { Change, DeadLetter, OutboxStore, Segment } from "../stores/store.js";
import type { FetchLike } from "../platform/fetch.js";
import { trapped } from "../engine/instance.js";
import { StoreClient, NO_CHANGE } from "./store-client.js";
import { Keys } from "./keys.js";
import { toDeadLetter, segmentsOf } from "./dead-letters.js";
import { TrackedSegment } from "./tracked-segment.js";
import { Waiters, waitFor } from "../platform/waiters.js";
import { Sender, type SenderOptions } from "./sender.js";
import { type EventSession, orderingKeyOf } from "./session.js";
import { LeaderElection } from "../platform/leader.js";
import type { TabMessage } from "./tab-message.js";
import { type Batch, type Wire } from "./wire.js";
import { COUNTERS, OUTBOX_CLASSIFIERS, type OutboxPort, PEEKED } from "../engine/ports.js";
import { startTimer, unixNow } from "../platform/clock.js";
import { random } from "../platform/random.js";

/** What a driver is told by its outbox. */
export interface DriverOptions<E> extends SenderOptions<E> {
  name: string;
  store: OutboxStore | "auto";
  /** For the machine, by the names of `src/wasm/config.rs`. */
  config: Record<string, number | boolean>;
  fetch: FetchLike | undefined;
  tell(type: string, detail: () => object): void;
}

/** How much more a session may stage before it has to ask again. */
export interface Credit {
  bytes: number;
  events: number;
}

export const NO_CREDIT: Credit = { bytes: 0, events: 0 };
/** Texts take more memory than bytes, and all at once more time. */
const MAX_CREDIT_BYTES = 192 * 1024;

export class OutboxDriver<E> {
  readonly wire: Wire<E>;
  readonly keeper: StoreClient;
  isLeader = false;
  isPaused = false;
  /** Takes nothing more. */
  isClosed = false;
  /** How many engines were thrown away. */
  lives = 0;
  /** Sessions that have something staged. */
  readonly staging = new Set<EventSession<E>>();
  readonly #options: DriverOptions<E>;
  readonly #pump: Pump<OutboxPort>;
  readonly #sender: Sender<E>;
  readonly #keys = new Keys();
  /** Those that the machine knows, by its numbers. */
  #packets = new Map<number, TrackedSegment>();
  /** The same and our own that only the store has, by key. */
  #byKey = new Map<string, TrackedSegment>();
  /** Committed when the engine was thrown away, and not known to be stored. */
  #lost: TrackedSegment[] = [];
  /** What waits for the machine or the store. */
  readonly #patience = new Waiters();
  #lastCounters: Float64Array | undefined;
  /** For which engine the store was counted. */
  #counted = -1;
  #isOver = false;
  /** Whether it is known who leads. */
  #isDecided = false;
  #tabs: LeaderElection<TabMessage> | undefined;
  #opening: Promise<void> | undefined;
  #purging: Promise<unknown> | undefined;
  #purges = 0;
  /** The session that has been told how much fits, and has not said how much of it is used. */
  #borrower: EventSession<E> | undefined;
  #sessions = 0;

  constructor(options: DriverOptions<E>) {
    this.#options = options;
    this.wire = options.wire;
    this.#sender = new Sender(options);
    this.keeper = new StoreClient(options.store, options.name, this.#patience, (error) => this.#degraded(error));
    this.#pump = new Pump<OutboxPort>({
      makePort: (glue) =>
        new glue.OutboxPort(options.config, options.wire.classifier ?? OUTBOX_CLASSIFIERS.byStatus, random()),
      fetch: options.fetch,
      onReset: () => this.#died(),
      onStart: (port, now) => this.#born(port, now),
      handlers: {
        write: (put: Uint32Array, remove: Uint32Array, bury: Uint32Array) =>
          void this.#write(this.#change(put, remove, bury)),
        look: (events: number, bytes: number) => void this.#look(events, bytes),
        dispatch: (id: number, parts: Uint32Array, isLeaving: boolean) => void this.#dispatch(id, parts, isLeaving),
        accepted: (segment: number) => this.#accepted(segment),
        delivered: (segment: number, from: number, to: number, status: number, tries: number) =>
          this.#delivered(segment, from, to, status, tries),
        died: (...particulars: [number, number, number, number, number, string]) => this.#buried(...particulars),
        retry: (delayMs: number, failures: number, code: number, status: number, message: string) =>
          this.#retry(delayMs, failures, code, status, message),
        forget: (segment: number, isKept: boolean) => this.#forget(segment, isKept),
        pressure: (isHigh: boolean) => options.tell("pressure", () => ({ isHigh, ...this.counters() })),
      },
    });
  }

  // ---- sessions

  newSession(): number {
    return ++this.#sessions;
  }

  stage(session: number, size: number, key: string | undefined): number {
    if (this.isClosed) throw closed();
    const { port } = this.#pump;
    try {
      return port.stage(session, size, key === undefined ? 0 : orderingKeyOf(key));
    } catch (error) {
      throw trapped(error);
    }
  }

  /** How much more surely fits behind what a session has staged. */
  credit(session: number): Credit {
    try {
      return this.query((port) => ({
        bytes: Math.min(port.credit_bytes(session), MAX_CREDIT_BYTES),
        events: port.credit_events(session),
      }));
    } catch {
      return NO_CREDIT;
    }
  }

  /** Only one session at a time has room of which the engine does not know how much of it is used. */
  grantCredit(session: EventSession<E>): void {
    this.#borrower?.settle();
    this.#borrower = session;
  }

  /** Stages more of a session, for which there was ease. `life`: the engine that has the rest of it. */
  stageMany(session: number, life: number, sizes: number[], lanes: ArrayLike<number>): void {
    if (life !== this.lives || this.isClosed) return;
    try {
      this.query((port) => port.stage_many(session, Uint32Array.from(sizes), Uint32Array.from(lanes)));
    } catch {
      // The engine is gone, and with it what it knew of the session. The next one is told all of it with the commit.
    }
  }

  commit(session: number, packets: TrackedSegment[]): void {
    if (packets.length === 0) return;
    if (this.isClosed) {
      for (const packet of packets) packet.abandon(closed());
      throw closed();
    }
    void this.open();
    const at = unixNow();
    const flushed = packets.reduce((sum, { count }) => sum + count, 0);
    for (const packet of packets) {
      packet.at = at;
      packet.key = this.#keys.next(at);
      if (this.wire.onCommit) for (const text of packet.texts(0, packet.count)) this.wire.onCommit(text, flushed);
    }
    try {
      this.send((port, now) => {
        // What was staged before an engine was thrown away, the present one does not know.
        const [lost, known] = [
          packets.filter(({ life }) => life !== this.lives),
          packets.filter(({ life }) => life === this.lives),
        ];
        for (const packet of lost) this.#recommit(port, now, packet);
        const handles = port.commit(now, session, this.#own(packets[0]!.body!, packets[0]!.sizes));
        known.forEach((packet, index) => this.#add(packet, handles[index]!));
        for (const packet of packets) this.#sender.zip(packet);
      });
    } catch {
      // The engine is gone. The next one gets them.
      this.#lost = [...new Set([...this.#lost, ...packets])];
    }
  }

  rollBack(session: number): void {
    if (!this.isClosed) this.send((port) => port.roll_back(session));
  }

  full(): FerryError {
    const { bytes } = this.counters();
    return new FerryError(
      "ERR_QUEUE_FULL",
      `the outbox is full: it holds ${bytes} of ${this.#options.config["maxBytes"]} bytes`,
    );
  }

  // ---- commands

  /** Opens the store and stands in the line of those that want to send. */
  open(): Promise<void> {
    return (this.#opening ??= this.#open());
  }

  /** When the machine knows what the store has. Nobody waits until a store that does not open does. */
  async #opened(): Promise<void> {
    if (this.isClosed) throw closed();
    void this.open();
    const isCounted = () => this.#counted === this.lives;
    await this.#patience.until(() => isCounted() || this.keeper.problem !== undefined);
    if (this.isClosed) throw closed();
    if (!isCounted()) throw this.keeper.problem;
  }

  /** Tells the machine something and looks who has waited for it. */
  send<T>(fact: (port: OutboxPort, now: number) => T): T {
    const result = this.#pump.send(fact);
    this.#patience.recheck();
    return result;
  }

  query<T>(question: (port: OutboxPort) => T): T {
    return this.#pump.query(question);
  }

  flushNow(): void {
    void this.open();
    this.send((port, now) => port.flush_now(now));
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    this.send((port, now) => port.pause(now, isPaused));
  }

  /** What rests may work now. */
  online(): void {
    if (!this.isClosed) this.send((port, now) => port.online(now));
  }

  counters(): Record<(typeof COUNTERS)[number], number> {
    this.#borrower?.settle();
    const numbers = this.#isOver ? this.#lastCounters : this.#pump.query((port) => port.counters());
    return Object.fromEntries(COUNTERS.map((name, at) => [name, numbers?.[at] ?? 0])) as Record<
      (typeof COUNTERS)[number],
      number
    >;
  }

  /** When the oldest event that is known here was committed, in Unix milliseconds. */
  oldest(): number | undefined {
    let oldest: number | undefined;
    for (const { at, left } of this.#byKey.values()) if (left > 0 && (oldest === undefined || at < oldest)) oldest = at;
    return oldest;
  }

  /** Resolves with true when the packets are there, with false when the waiting is over before. */
  until(
    packets: TrackedSegment[],
    isThere: (packet: TrackedSegment) => boolean,
    signal: AbortSignal | undefined,
    deadlineMs: number | undefined,
  ): Promise<boolean> {
    return waitFor(signal, deadlineMs, (done) => {
      let left = packets.length;
      if (left === 0) return done();
      for (const packet of packets) packet.watch(() => isThere(packet) && (--left === 0 && done(), true));
    });
  }

  /** The same for something that can be asked of the machine. */
  untilIt(is: (port: OutboxPort) => boolean, signal?: AbortSignal, deadlineMs?: number): Promise<boolean> {
    return this.#patience.until(() => this.#says(is), signal, deadlineMs);
  }

  /** The page is hidden or ends. */
  pageHidden(isResending: boolean): void {
    const bytes = this.#sender.room(this.#packets.values());
    if (isResending && this.#pump.isRunning) this.send((port, now) => port.page_hidden(now, bytes, this.#options.gzip));
  }

  /** Others may lead. `isSending`: what is under way goes on, because it may survive the page. */
  resign(isSending: boolean): void {
    if (this.isLeader && isSending) this.#pump.detachExchanges();
    this.#tabs?.release();
  }

  joinElection(): void {
    this.#tabs?.join();
  }

  async purge(): Promise<number> {
    await this.#opened();
    this.#purges++;
    // When the machine has forgotten all, which is at once. What is committed while this goes on is not meant.
    this.#purging = Promise.resolve().then(() => this.keeper.empty(() => new Set(this.#byKey.keys())));
    const all = [...this.#byKey.values()];
    const purged = this.send((port, now) => port.purge(now));
    for (const packet of all) packet.abandon(new FerryError("ERR_ABORTED", "the event was purged"));
    this.#byKey.clear();
    await this.#purging;
    return purged;
  }

  async dead(limit: number): Promise<DeadLetter[]> {
    await this.#opened();
    return this.keeper.dead(limit);
  }

  /** Puts dead letters back under new keys, or removes them. */
  async removeDead(letters: DeadLetter[], isReplay: boolean): Promise<number> {
    if (letters.length === 0) return 0;
    const put = isReplay ? segmentsOf(this.wire, letters, (at) => this.#keys.next(at)) : [];
    await this.keeper.call((store) => store.write({ ...NO_CHANGE, put, deadRemove: letters.map(({ key }) => key) }));
    this.send((port, now) =>
      port.dead_removed(
        now,
        letters.length,
        letters.reduce((sum, { body }) => sum + body.length, 0),
        isReplay,
      ),
    );
    this.#tabs?.broadcast({ isNew: true });
    return letters.length;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    if (this.#opening) {
      this.pause(true);
      await this.untilIt((port) => port.is_settled(), undefined, this.keeper.farewellMs);
    }
    if (this.#pump.isRunning) this.#lastCounters = this.#pump.query((port) => port.counters());
    this.#isOver = true;
    this.keeper.end();
    this.#pump.close();
    this.#patience.end();
    for (const packet of [...this.#byKey.values(), ...this.#lost]) packet.abandon(closed());
    this.#tabs?.close();
    await this.keeper.close();
  }

  // ---- the store

  async #open(): Promise<void> {
    await this.keeper.open();
    if (this.#isOver) return;
    this.#tabs = new LeaderElection(this.keeper.place, {
      onLeaderChange: (leads) => {
        this.isLeader = leads;
        this.#isDecided = true;
        if (this.#counted === this.lives) this.#inform((port, now) => port.set_leader(now, leads));
        this.#options.tell("leader", () => ({ leads }));
      },
      onMessage: (news) => this.#hear(news),
    });
    await this.#count();
    if (!this.isClosed) this.#tabs.join();
  }

  /** Tells a machine what the store has in it, once, and with that that it is open. */
  #count(): Promise<void> {
    return this.keeper.insist(async () => {
      const life = this.lives;
      const stock = await this.keeper.count();
      // For an engine that came meanwhile it is counted anew: the one before it may have written something.
      if (this.#isOver || life !== this.lives || this.#counted === life) return;
      this.#counted = life;
      this.#inform((port, now) => {
        port.opened(now, ...stock);
        if (this.#isDecided) port.set_leader(now, this.isLeader);
      });
    });
  }

  async #write(change: Change): Promise<void> {
    const life = this.lives;
    const isDone = await this.keeper.write(change);
    // Whoever has asked for it is gone.
    if (this.#isOver || life !== this.lives) return;
    if (isDone && change.put.length > 0) this.#tabs?.broadcast({ isNew: true });
    this.#inform((port, now) => port.written(now, isDone));
    if (this.keeper.isArmed && this.#says((port) => port.is_quiet())) await this.keeper.disarm();
  }

  /** What the machine wants to have written: numbers of segments, and for each how many of its events, and which, or 0 for all. */
  #change(puts: Uint32Array, removes: Uint32Array, buries: Uint32Array): Change {
    const put: Segment[] = [];
    for (let at = 0; at < puts.length; ) {
      const packet = this.#packets.get(puts[at]!)!;
      const count = puts[at + 1]!;
      put.push(packet.toSegment(count > 0 ? puts.subarray(at + 2, at + 2 + count) : undefined));
      at += 2 + count;
    }
    const remove = [...removes].map((handle) => this.#packets.get(handle)?.key).filter((key) => key !== undefined);
    const bury: (DeadLetter | undefined)[] = [];
    for (let at = 0; at < buries.length; at += 2) bury.push(this.#packets.get(buries[at]!)?.letterOf(buries[at + 1]!));
    return { ...NO_CHANGE, put, remove, deadPut: bury.filter((letter) => letter !== undefined) };
  }

  async #look(events: number, bytes: number, isSecond = false): Promise<void> {
    const life = this.lives;
    // What is about to be deleted shall not be found.
    const purges = this.#purges;
    await this.#purging?.catch(() => undefined);
    const segments = await this.keeper.peek(
      events,
      bytes,
      new Set(Array.from(this.#packets.values(), ({ key }) => key)),
    );
    if (this.#isOver || life !== this.lives) return;
    // It may have been written while the store was looking.
    const found = segments?.filter(({ key }) => purges === this.#purges && !this.#byKey.get(key)?.body);
    // There may be more behind what is known.
    if (segments && segments.length > 0 && found!.length === 0 && !isSecond) return this.#look(events, bytes, true);
    this.#inform((port, now) => {
      for (const segment of found ?? []) this.#find(port, now, segment);
      port.peeked(now, !found ? PEEKED.failed : found.length > 0 ? PEEKED.found : PEEKED.foundNothing);
    });
  }

  #find(port: OutboxPort, now: number, { key, at, body, sizes, orderingKeys: lanes = NO_LANES }: Segment): void {
    const own = this.#byKey.get(key);
    const packet = own && own.count === sizes.length ? own : new TrackedSegment();
    const handle = port.found(now, sizes, lanes, this.#own(body, sizes), Math.max(0, unixNow() - at), own?.handle ?? 0);
    Object.assign(packet, { at, key, body, sizes, lanes, isAccepted: true });
    if (packet !== own) packet.left = packet.count;
    if (own && packet !== own) packet.follow(own, (index) => this.wire.idOf(packet.slice(index, index + 1)));
    this.#add(packet, handle);
  }

  // ---- the server

  #dispatch(id: number, parts: Uint32Array, isLeaving: boolean): void {
    const sent: [TrackedSegment, number, number][] = [];
    let count = 0;
    for (let at = 0; at < parts.length; at += 3) {
      const [from, to] = [parts[at + 1]!, parts[at + 2]!];
      sent.push([this.#packets.get(parts[at]!)!, from, to]);
      count += to - from;
    }
    const batch: Batch = {
      count,
      chunks: sent.map(([packet, from, to]) => packet.slice(from, to)),
      ids: () => sent.flatMap(([packet, from, to]) => this.#ids(packet, from, to)),
      texts: () => sent.flatMap(([packet, from, to]) => packet.texts(from, to)),
    };
    const [[packet, from, to]] = sent as [[TrackedSegment, number, number]];
    const zipped = sent.length === 1 && from === 0 && to === packet.count ? packet.zipped : undefined;
    this.#pump.startExchange(id, this.#sender.plan(batch, isLeaving, zipped), (port, now, outcome) => {
      this.#sender.land(port, now, id, outcome, batch);
      // Once what it means was done. Not by queueMicrotask, for which Node makes a context of its own.
      void Promise.resolve().then(() => this.#patience.recheck());
    });
  }

  // ---- packets

  #add(packet: TrackedSegment, handle: number): void {
    packet.handle = handle;
    this.#packets.set(handle, packet);
    this.#byKey.set(packet.key, packet);
  }

  #accepted(handle: number): void {
    const packet = this.#packets.get(handle)!;
    packet.accept();
    this.#options.tell("accepted", () => ({ ids: this.#ids(packet, 0, packet.count) }));
  }

  #delivered(handle: number, from: number, to: number, status: number, attempts: number): void {
    const packet = this.#packets.get(handle)!;
    const isWhole = to - from === packet.count;
    packet.deliver(from, to, status, attempts);
    this.#options.tell("delivered", () => ({ ids: this.#ids(packet, from, to), status, attempts }));
    this.#tabs?.broadcastLazily(() => ({
      key: packet.key,
      status,
      attempts,
      ...(!isWhole && { ids: this.#ids(packet, from, to) }),
    }));
  }

  #buried(handle: number, index: number, attempts: number, code: number, status: number, message: string): void {
    const packet = this.#packets.get(handle)!;
    const error = new FerryError(codeOf(code), message, { status: status || undefined });
    const letter = toDeadLetter(packet, index, error, status, attempts);
    const id = this.wire.idOf(letter.body);
    packet.die(index, error, letter);
    this.#options.tell("dead", () => ({ id, error, attempts }));
    this.#tabs?.broadcastLazily(() => ({ key: packet.key, ids: [id], status, attempts, code: error.code, message }));
  }

  #retry(delayMs: number, failures: number, code: number, status: number, message: string): void {
    const { cause } = this.#pump;
    // Headers that HTTP does not allow are more than a request that did not arrive.
    const error =
      cause instanceof FerryError
        ? cause
        : new FerryError(codeOf(code), message, { status: status || undefined, ...(cause !== undefined && { cause }) });
    this.#options.tell("retry", () => ({ error, delayMs, failures }));
    // Time alone will not mend it.
    if (!error.retryable) this.#degraded(error);
  }

  #degraded(error: unknown): void {
    this.#options.tell("degraded", () => ({ error }));
  }

  #forget(handle: number, isKept: boolean): void {
    const packet = this.#packets.get(handle)!;
    this.#packets.delete(handle);
    packet.body = packet.zipped = undefined;
    if (!isKept) this.#byKey.delete(packet.key);
  }

  #ids(packet: TrackedSegment, from: number, to: number): string[] {
    return packet.texts(from, to).map((text) => this.wire.idOf(text));
  }

  /** How many events of a segment go in one request that then has no others; 0 if they may go with others. */
  #own(body: Uint8Array, sizes: ArrayLike<number>): number {
    return this.wire.grouping && sizes.length > 0 ? this.wire.grouping(body.subarray(0, sizes[0])).maxEvents : 0;
  }

  /** Another tab has stored something, or settled something of ours. */
  #hear({ isNew, key, ids, status, attempts, code, message }: TabMessage): void {
    if (isNew) this.#inform((port, now) => port.store_changed(now));
    const packet = key === undefined ? undefined : this.#byKey.get(key);
    if (!packet || packet.body) return;
    const problem = code && new FerryError(code, message, { status });
    const share = packet.left > 0 ? (ids?.length ?? packet.left) / packet.left : 0;
    const bytes = Array.from(packet.sizes).reduce((sum, size) => sum + size, 0) * share;
    const count = packet.settleElsewhere(ids, status ?? 0, attempts ?? 0, problem);
    this.#inform((port, now) =>
      port.settled_elsewhere(now, packet.handle, problem ? 0 : count, problem ? count : 0, bytes),
    );
    if (packet.left === 0) this.#byKey.delete(packet.key);
  }

  // ---- traps

  /** The engine was thrown away. What is stored is found again, and what is not is committed again. */
  #died(): void {
    const life = ++this.lives;
    this.#lost.push(...[...this.#packets.values()].filter((packet) => !packet.isAccepted && packet.left > 0));
    this.#packets.clear();
    for (const packet of this.#byKey.values()) {
      packet.handle = 0;
      // One that was delivered before it was stored may be in the store all the same: that is found like what others have left there.
      if (packet.left === 0) this.#byKey.delete(packet.key);
      else if (packet.isAccepted) packet.body = packet.zipped = undefined;
    }
    // Nobody may ask for anything, but there is work. An engine that breaks again and again gets less and less to do.
    const again = () => {
      if (this.#isOver || life !== this.lives || !this.keeper.traits) return;
      void this.#count();
    };
    startTimer(again, Math.min(10 * life, 1000));
  }

  #born(port: OutboxPort, now: number): void {
    for (let packet; (packet = this.#lost[0]); this.#lost.shift()) this.#recommit(port, now, packet);
    port.pause(now, this.isPaused || this.isClosed);
  }

  #recommit(port: OutboxPort, now: number, packet: TrackedSegment): void {
    this.#add(
      packet,
      port.recommit(
        now,
        Uint32Array.from(packet.sizes),
        Uint32Array.from(packet.lanes),
        this.#own(packet.body!, packet.sizes),
      ),
    );
  }

  /** Whether there is a machine that says so. One that breaks when it is asked does not, and the next one will be asked again. */
  #says(is: (port: OutboxPort) => boolean): boolean {
    try {
      return this.#pump.isRunning && this.query(is);
    } catch (error) {
      if (!isFerryError(error, "ERR_INTERNAL")) throw error;
      return false;
    }
  }

  /** Tells the machine something that nobody waits for. */
  #inform(fact: (port: OutboxPort, now: number) => void): void {
    this.#pump.sendInBackground(fact);
    this.#patience.recheck();
  }
}

const NO_LANES = new Uint32Array(0);

function closed(): FerryError {
  return new FerryError("ERR_CLOSED", "the outbox is closed");
}
