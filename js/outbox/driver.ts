/**
 * What the machine of the outbox (`src/outbox/machine.rs`) asks for is done here: it decides, this file has the store, the
 * requests and the tabs.
 *
 * ```text
 *   session ──stage, commit──> machine ──┬─ write, look ──> store ──written, found──> machine
 *                                        ├─ dispatch ─────> wire ──> flight ──answer──> machine
 *                                        └─ accepted, delivered, died, forget ──> packets ──> receipts, events
 * ```
 */
import { FerryError, codeOf } from "../errors.js";
import { type Port, Pump } from "../pump.js";
import { openAuto } from "../stores/auto.js";
import { storeFailure } from "../stores/failure.js";
import type { Change, DeadLetter, OutboxStore, Segment, StoreTraits } from "../stores/store.js";
import { type FetchLike, type FlightPlan, type Outcome, WHY } from "../transport.js";
import { Keys, fingerprint } from "./keys.js";
import { joined, Packet } from "./packet.js";
import { keepalive } from "./page.js";
import { Patience, waiting } from "./patience.js";
import { type EventSession, laneOf } from "./session.js";
import { type News, Tabs } from "./tabs.js";
import { trapped } from "../wasm.js";
import { OUTBOX_JUDGES, SINGLES, type Batch, type Wire } from "./wire.js";

/** The handle of the machine, see `src/wasm/outbox.rs`. */
export interface OutboxPort extends Port {
  stage(session: number, size: number, lane: number): number;
  ease_bytes(session: number): number;
  ease_events(session: number): number;
  append(session: number, sizes: Uint32Array, lanes: Uint32Array): void;
  roll_back(session: number): number;
  commit(now: number, session: number, own: number): Uint32Array;
  recommit(now: number, sizes: Uint32Array, lanes: Uint32Array, own: number): number;
  opened(now: number, events: number, bytes: number, dead: number, deadBytes: number): void;
  written(now: number, isDone: boolean): void;
  found(now: number, sizes: Uint32Array, lanes: Uint32Array, own: number, ageMs: number, known: number): number;
  looked(now: number, result: number): void;
  stir(now: number): void;
  settled_elsewhere(now: number, segment: number, delivered: number, dead: number, bytes: number): void;
  exhumed(now: number, letters: number, bytes: number, isReplayed: boolean): void;
  purge(now: number): number;
  lead(now: number, leads: boolean): void;
  pause(now: number, isPaused: boolean): void;
  hurry(now: number): void;
  wake(now: number): void;
  allow(now: number, requests: number): void;
  leave(now: number, bytes: number, isApart: boolean): void;
  regroup(now: number, id: number, events: number, flights: number): void;
  partly(now: number, id: number, statuses: Uint16Array, retryAfterMs: number): void;
  counters(): Float64Array;
  is_quiet(): boolean;
  is_settled(): boolean;
}

/** What a driver is told by its outbox. */
export interface DriverOptions<E> {
  wire: Wire<E>;
  name: string;
  store: OutboxStore | "auto";
  /** For the machine, by the names of `src/wasm/config.rs`. */
  config: Record<string, number | boolean>;
  fetch: FetchLike | undefined;
  timeoutMs: number;
  headers: Headerer;
  gzip: boolean;
  tell(type: string, detail: () => object): void;
}

/** The headers of the user. */
export interface Headerer {
  /** Asks for them. */
  ask(): HeadersInit | undefined | Promise<HeadersInit | undefined>;
  /** Lines of these and those of a request, which win. */
  lines(given: HeadersInit | undefined, own: Record<string, string>): string;
}

/** How much more a session may stage before it has to ask again. */
export interface Ease {
  bytes: number;
  events: number;
}

export const NO_EASE: Ease = { bytes: 0, events: 0 };

/** How long a store may take for one call. It may come to its end later, which is as if it had been done twice. */
const STORE_PATIENCE_MS = 10_000;
/** How long the end waits for a store that has failed the last time. */
const FAILING_PATIENCE_MS = 1000;
/** How much of an answer is read, for each event of the request and besides: it may speak of each. */
const ANSWER_BYTES = 1024;
const ANSWER_BYTES_BESIDES = 16 * 1024;
const WAKE_MS = 10_000;

export class Driver<E> {
  readonly wire: Wire<E>;
  traits: StoreTraits | undefined;
  store: OutboxStore | undefined;
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
  readonly #keys = new Keys();
  /** Those that the machine knows, by its numbers. */
  #packets = new Map<number, Packet>();
  /** The same and our own that only the store has, by key. */
  #byKey = new Map<string, Packet>();
  /** Committed when the engine was thrown away, and not known to be stored. */
  #lost: Packet[] = [];
  /** What the user's headers were the last time. */
  #given: [HeadersInit | undefined] | undefined;
  /** What waits for the machine or the store. */
  readonly #patience = new Patience();
  #lastCounters: Float64Array | undefined;
  /** For which engine the store was counted. */
  #counted = -1;
  #isOver = false;
  /** Whether it is known who leads. */
  #isDecided = false;
  #tabs: Tabs | undefined;
  #opening: Promise<void> | undefined;
  #isFailing = false;
  #purging: Promise<unknown> | undefined;
  #purges = 0;
  /** The session that has been told how much fits, and has not said how much of it is used. */
  #borrower: EventSession<E> | undefined;
  #isArmed = false;
  #sessions = 0;

  constructor(options: DriverOptions<E>) {
    this.#options = options;
    this.wire = options.wire;
    this.#pump = new Pump<OutboxPort>({
      makePort: (glue) => new glue.OutboxPort(options.config, options.wire.judge ?? OUTBOX_JUDGES.byStatus, Math.random()),
      fetch: options.fetch,
      died: () => this.#died(),
      born: (port, now) => this.#born(port, now),
      handlers: {
        write: (put: Uint32Array, remove: Uint32Array, bury: Uint32Array) => void this.#write(this.#change(put, remove, bury)),
        look: (events: number, bytes: number) => void this.#look(events, bytes),
        dispatch: (id: number, parts: Uint32Array, isLeaving: boolean) => void this.#dispatch(id, parts, isLeaving),
        accepted: (segment: number) => this.#accepted(segment),
        delivered: (segment: number, from: number, to: number, status: number, tries: number) => this.#delivered(segment, from, to, status, tries),
        died: (...particulars: [number, number, number, number, number, string]) => this.#buried(...particulars),
        retry: (restMs: number, failures: number, code: number, status: number, message: string) => this.#retry(restMs, failures, code, status, message),
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
      return port.stage(session, size, key === undefined ? 0 : laneOf(key));
    } catch (error) {
      throw trapped(error);
    }
  }

  /** How much more surely fits behind what a session has staged. */
  ease(session: number): Ease {
    try {
      return this.ask((port) => ({ bytes: port.ease_bytes(session), events: port.ease_events(session) }));
    } catch {
      return NO_EASE;
    }
  }

  /** Only one session at a time has room of which the engine does not know how much of it is used. */
  lend(session: EventSession<E>): void {
    this.#borrower?.settle();
    this.#borrower = session;
  }

  /** Stages more of a session, for which there was ease. `life`: the engine that has the rest of it. */
  append(session: number, life: number, sizes: number[], lanes: ArrayLike<number>): void {
    if (life !== this.lives || this.isClosed) return;
    try {
      this.ask((port) => port.append(session, Uint32Array.from(sizes), Uint32Array.from(lanes)));
    } catch {
      // The engine is gone, and with it what it knew of the session. The next one is told all of it with the commit.
    }
  }

  commit(session: number, packets: Packet[]): void {
    if (packets.length === 0) return;
    if (this.isClosed) {
      for (const packet of packets) packet.abandon(closed());
      throw closed();
    }
    void this.open();
    const at = Date.now();
    const flushed = packets.reduce((sum, { count }) => sum + count, 0);
    for (const packet of packets) {
      packet.at = at;
      packet.key = this.#keys.next(at);
      if (this.wire.seal) for (const text of packet.texts(0, packet.count)) this.wire.seal(text, flushed);
    }
    try {
      this.tell((port, now) => {
        // What was staged before an engine was thrown away, the present one does not know.
        const [lost, known] = [packets.filter(({ life }) => life !== this.lives), packets.filter(({ life }) => life === this.lives)];
        for (const packet of lost) this.#recommit(port, now, packet);
        const handles = port.commit(now, session, this.#own(packets[0]!.body!, packets[0]!.sizes));
        known.forEach((packet, index) => this.#add(packet, handles[index]!));
        if (this.#options.gzip) for (const packet of packets) this.#zip(packet);
      });
    } catch {
      // The engine is gone. The next one gets them.
      this.#lost = [...new Set([...this.#lost, ...packets])];
    }
  }

  rollBack(session: number): void {
    if (!this.isClosed) this.tell((port) => port.roll_back(session));
  }

  full(): FerryError {
    const { bytes } = this.counters();
    return new FerryError("ERR_QUEUE_FULL", `the outbox is full: it holds ${bytes} of ${this.#options.config["maxBytes"]} bytes`);
  }

  // ---- commands

  /** Opens the store and stands in the line of those that want to send. */
  open(): Promise<void> {
    return (this.#opening ??= this.#open());
  }

  async #opened(): Promise<void> {
    if (!this.isClosed) await this.open();
    if (this.isClosed) throw closed();
  }

  /** Tells the machine something and looks who has waited for it. */
  tell<T>(fact: (port: OutboxPort, now: number) => T): T {
    const result = this.#pump.tell(fact);
    this.#patience.lookAround();
    return result;
  }

  ask<T>(question: (port: OutboxPort) => T): T {
    return this.#pump.ask(question);
  }

  hurry(): void {
    void this.open();
    this.tell((port, now) => port.hurry(now));
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    this.tell((port, now) => port.pause(now, isPaused));
  }

  /** What rests may work now. */
  wake(): void {
    if (!this.isClosed) this.tell((port, now) => port.wake(now));
  }

  counters(): Record<(typeof COUNTERS)[number], number> {
    this.#borrower?.settle();
    const numbers = this.#isOver ? this.#lastCounters : this.#pump.ask((port) => port.counters());
    return Object.fromEntries(COUNTERS.map((name, at) => [name, numbers?.[at] ?? 0])) as Record<(typeof COUNTERS)[number], number>;
  }

  /** When the oldest event that is known here was committed, in Unix milliseconds. */
  oldest(): number | undefined {
    let oldest: number | undefined;
    for (const { at, left } of this.#byKey.values()) if (left > 0 && (oldest === undefined || at < oldest)) oldest = at;
    return oldest;
  }

  /** Resolves with true when the packets are there, with false when the waiting is over before. */
  until(packets: Packet[], isThere: (packet: Packet) => boolean, signal: AbortSignal | undefined, deadlineMs: number | undefined): Promise<boolean> {
    return waiting(signal, deadlineMs, (done) => {
      let left = packets.length;
      if (left === 0) return done();
      for (const packet of packets) packet.watch(() => isThere(packet) && (--left === 0 && done(), true));
    });
  }

  /** The same for something that can be asked of the machine. */
  untilIt(is: (port: OutboxPort) => boolean, signal?: AbortSignal, deadlineMs?: number): Promise<boolean> {
    return this.#patience.until(() => this.#pump.isRunning && this.ask(is), signal, deadlineMs);
  }

  /** The page is hidden or ends. */
  leave(isResending: boolean): void {
    // What holds the events of a request together comes on top.
    const bytes = Math.floor(keepalive.left * 0.96 * this.#ratio());
    if (isResending && this.#pump.isRunning) this.tell((port, now) => port.leave(now, bytes, this.#options.gzip));
  }

  /** Others may lead. `isSending`: what is under way goes on, because it may survive the page. */
  stepAside(isSending: boolean): void {
    if (this.isLeader && isSending) this.#pump.letGo();
    this.#tabs?.release();
  }

  standInLine(): void {
    this.#tabs?.apply();
  }

  async purge(): Promise<number> {
    await this.#opened();
    this.#purges++;
    // When the machine has forgotten all, which is at once.
    this.#purging = Promise.resolve().then(() => this.#empty());
    const all = [...this.#byKey.values()];
    const purged = this.tell((port, now) => port.purge(now));
    for (const packet of all) packet.abandon(new FerryError("ERR_ABORTED", "the event was purged"));
    this.#byKey.clear();
    await this.#purging;
    return purged;
  }

  async #empty(): Promise<void> {
    // What is committed while this goes on is not meant.
    for (let segments; (segments = await this.#call((store) => store.peek({ events: 1000, bytes: 1 << 22, skip: new Set(this.#byKey.keys()) }))).length > 0; ) {
      await this.#call((store) => store.write({ ...NOTHING, remove: segments.map(({ key }) => key) }));
    }
    for (let letters; (letters = await this.#call((store) => store.dead(1000))).length > 0; ) {
      await this.#call((store) => store.write({ ...NOTHING, exhume: letters.map(({ key }) => key) }));
    }
  }

  async dead(limit: number): Promise<DeadLetter[]> {
    await this.#opened();
    return this.#call(async (store) => [...(await store.dead(limit))]);
  }

  /** Puts dead letters back under new keys, or removes them. */
  async exhume(letters: DeadLetter[], isReplay: boolean): Promise<number> {
    if (letters.length === 0) return 0;
    const put = isReplay ? this.#segmentsOf(letters) : [];
    await this.#call((store) => store.write({ ...NOTHING, put, exhume: letters.map(({ key }) => key) }));
    this.tell((port, now) => port.exhumed(now, letters.length, letters.reduce((sum, { body }) => sum + body.length, 0), isReplay));
    this.#tabs?.say({ isNew: true });
    return letters.length;
  }

  /** Letters as segments again, each of one kin. */
  #segmentsOf(letters: DeadLetter[]): Segment[] {
    const at = Date.now();
    const byKin = new Map<string | undefined, DeadLetter[]>();
    for (const letter of letters) {
      const name = this.wire.kin?.(letter.body).name;
      byKin.set(name, [...(byKin.get(name) ?? []), letter]);
    }
    return Array.from(byKin.values(), (kin) => ({
      key: this.#keys.next(at),
      at,
      body: joined(kin.map(({ body }) => body)),
      sizes: Uint32Array.from(kin, ({ body }) => body.length),
      lanes: Uint32Array.from(kin, ({ lane }) => lane),
    }));
  }

  async close(): Promise<void> {
    this.isClosed = true;
    if (this.#opening) {
      this.pause(true);
      await this.untilIt((port) => port.is_settled(), undefined, this.#isFailing ? FAILING_PATIENCE_MS : STORE_PATIENCE_MS);
    }
    if (this.#pump.isRunning) this.#lastCounters = this.#pump.ask((port) => port.counters());
    this.#isOver = true;
    this.#pump.close();
    this.#patience.end();
    for (const packet of [...this.#byKey.values(), ...this.#lost]) packet.abandon(closed());
    this.#tabs?.close();
    if (this.store) await this.#call((store) => store.close());
  }

  /** Whoever starts us again shall do so, because something still waits. */
  async arm(): Promise<void> {
    if (!this.store?.wakeAt) return;
    try {
      await this.#call((store) => store.wakeAt!(Date.now() + WAKE_MS));
      this.#isArmed = true;
    } catch (error) {
      this.#options.tell("degraded", () => ({ error }));
    }
  }

  // ---- the store

  async #open(): Promise<void> {
    const { store, name } = this.#options;
    let opening: Promise<StoreTraits> | undefined;
    await this.#insist(async () => {
      if (store === "auto") {
        const opened = await openAuto(name);
        for (const error of opened.refused) this.#options.tell("degraded", () => ({ error }));
        [this.store, this.traits] = [opened.store, opened.traits];
      } else {
        // One that is slow is not asked twice: it may be open by then.
        opening ??= this.#openStore(store, name).catch((error: unknown) => {
          opening = undefined;
          throw error;
        });
        this.traits = await this.#call(() => opening!, store);
        this.store = store;
      }
    });
    if (this.#isOver) return;
    this.#tabs = new Tabs(name, this.store!, this.traits!.isShared, {
      lead: (leads) => {
        this.isLeader = leads;
        this.#isDecided = true;
        if (this.#counted === this.lives) this.#inform((port, now) => port.lead(now, leads));
        this.#options.tell("leader", () => ({ leads }));
      },
      hear: (news) => this.#hear(news),
    });
    await this.#count();
    if (!this.isClosed) this.#tabs.apply();
  }

  async #openStore(store: OutboxStore, name: string): Promise<StoreTraits> {
    const traits = await store.open(name);
    // Should it open after all, nobody waits for it any more.
    if (this.#isOver) await store.close();
    if (!traits?.durability) throw new Error("open has to resolve with durability and isShared");
    return traits;
  }

  /** Tells a machine what the store has in it, once, and with that that it is open. */
  #count(): Promise<void> {
    return this.#insist(async () => {
      const life = this.lives;
      const stock = await this.#call(async (store) => {
        const { events, bytes, dead, deadBytes } = await store.count();
        return [events, bytes, dead, deadBytes] as const;
      });
      // For an engine that came meanwhile it is counted anew: the one before it may have written something.
      if (this.#isOver || life !== this.lives || this.#counted === life) return;
      this.#counted = life;
      this.#inform((port, now) => {
        port.opened(now, ...stock);
        if (this.#isDecided) port.lead(now, this.isLeader);
      });
    });
  }

  /** Tries until it works. What is committed meanwhile waits in memory, and whoever waits for it can give up. */
  async #insist(body: () => Promise<void>): Promise<void> {
    for (let failures = 0; !this.#isOver; failures++) {
      try {
        await body();
        this.#isFailing = false;
        return;
      } catch (error) {
        if (this.#isOver) return;
        this.#isFailing = true;
        this.#options.tell("degraded", () => ({ error }));
        await this.untilIt(() => false, undefined, Math.min(100 * 2 ** failures, 5000));
      }
    }
  }

  /** Asks the store for something, but not for ever, nor longer than until the end. Rejects with nothing but a `FerryError`. */
  async #call<T>(body: (store: OutboxStore) => Promise<T>, store = this.store!): Promise<T> {
    try {
      return await this.#patience.within(STORE_PATIENCE_MS, body(store));
    } catch (cause) {
      throw storeFailure(store.kind, cause);
    }
  }

  async #write(change: Change): Promise<void> {
    const life = this.lives;
    let problem: unknown;
    try {
      if (change.put.length > 0 && !this.#isArmed) await this.arm();
      await this.#call((store) => store.write(change));
    } catch (error) {
      problem = error;
    }
    // Whoever has asked for it is gone.
    if (this.#isOver || life !== this.lives) return;
    if (problem) {
      if (!this.#isFailing) this.#options.tell("degraded", () => ({ error: problem }));
    } else {
      if (change.put.length > 0) this.#tabs?.say({ isNew: true });
    }
    this.#isFailing = problem !== undefined;
    this.#inform((port, now) => port.written(now, !problem));
    if (this.#isArmed && this.#pump.isRunning && this.ask((port) => port.is_quiet())) {
      this.#isArmed = false;
      await this.#call(async (store) => store.wakeAt?.(undefined)).catch(() => undefined);
    }
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
    return { ...NOTHING, put, remove, bury: bury.filter((letter) => letter !== undefined) };
  }

  async #look(events: number, bytes: number, isSecond = false): Promise<void> {
    const life = this.lives;
    let segments: Segment[] | undefined;
    // What is about to be deleted shall not be found.
    const purges = this.#purges;
    await this.#purging?.catch(() => undefined);
    try {
      const skip = new Set(Array.from(this.#packets.values(), ({ key }) => key));
      segments = await this.#call(async (store) => {
        const found = [...(await store.peek({ events, bytes, skip }))];
        const isGood = ({ key, body, sizes }: Segment) => typeof key === "string" && ArrayBuffer.isView(body) && ArrayBuffer.isView(sizes);
        if (!found.every(isGood)) throw new Error("peek has to resolve with segments");
        return found;
      });
    } catch (error) {
      if (!this.#isOver) this.#options.tell("degraded", () => ({ error }));
    }
    if (this.#isOver || life !== this.lives) return;
    // It may have been written while the store was looking.
    const found = segments?.filter(({ key }) => purges === this.#purges && !this.#byKey.get(key)?.body);
    // There may be more behind what is known.
    if (segments && segments.length > 0 && found!.length === 0 && !isSecond) return this.#look(events, bytes, true);
    this.#inform((port, now) => {
      for (const segment of found ?? []) this.#find(port, now, segment);
      port.looked(now, !found ? LOOK_FAILED : found.length > 0 ? LOOK_FOUND : LOOK_FOUND_NOTHING);
    });
  }

  #find(port: OutboxPort, now: number, { key, at, body, sizes, lanes = NO_LANES }: Segment): void {
    const own = this.#byKey.get(key);
    const packet = own && own.count === sizes.length ? own : new Packet();
    const handle = port.found(now, sizes, lanes, this.#own(body, sizes), Math.max(0, Date.now() - at), own?.handle ?? 0);
    Object.assign(packet, { at, key, body, sizes, lanes, isAccepted: true });
    if (packet !== own) packet.left = packet.count;
    if (own && packet !== own) packet.follow(own, (index) => this.wire.idOf(packet.slice(index, index + 1)));
    this.#add(packet, handle);
  }

  // ---- the server

  #dispatch(id: number, parts: Uint32Array, isLeaving: boolean): void {
    const sent: [Packet, number, number][] = [];
    let count = 0;
    for (let at = 0; at < parts.length; at += 3) {
      const [from, to] = [parts[at + 1]!, parts[at + 2]!];
      sent.push([this.#packets.get(parts[at]!)!, from, to]);
      count += to - from;
    }
    const batch: Batch = {
      count,
      stretches: sent.map(([packet, from, to]) => packet.slice(from, to)),
      ids: () => sent.flatMap(([packet, from, to]) => this.#ids(packet, from, to)),
      texts: () => sent.flatMap(([packet, from, to]) => packet.texts(from, to)),
    };
    const [[packet, from, to]] = sent as [[Packet, number, number]];
    const zipped = sent.length === 1 && from === 0 && to === packet.count ? packet.zipped : undefined;
    this.#pump.fly(id, this.#plan(batch, isLeaving, zipped), (port, now, outcome) => this.#land(port, now, id, outcome, batch));
  }

  /** The request for a batch; at once, unless something has to be waited for. A page that ends waits for nobody. */
  #plan(batch: Batch, isLeaving: boolean, zipped: Uint8Array | undefined): FlightPlan | Promise<FlightPlan> {
    const { timeoutMs, headers, gzip } = this.#options;
    try {
      const { url, headers: own, body } = this.wire.request(batch);
      const asked = isLeaving && this.#given ? this.#given[0] : headers.ask();
      const finish = (given: HeadersInit | undefined, body: Uint8Array): FlightPlan => {
        this.#given = [given];
        const plan = { url, headers: headers.lines(given, own), body, patienceMs: timeoutMs, maxAnswerBytes: ANSWER_BYTES_BESIDES + batch.count * ANSWER_BYTES };
        return { ...plan, keepalive: keepalive.take(body.length) };
      };
      const ready = zipped ?? (gzip && body.length >= GZIP_BYTES && !isLeaving && CAN_ZIP ? gzipped(body) : body);
      if (ready !== body) own["content-encoding"] = "gzip";
      if (!isPromise(ready) && !isPromise(asked)) return finish(asked, ready);
      return Promise.all([asked, ready]).then(([given, body]) => finish(given, body));
    } catch (cause) {
      return Promise.reject(cause);
    }
  }

  #land(port: OutboxPort, now: number, id: number, outcome: Outcome, batch: Batch): void {
    if (outcome.kind === "failure") {
      port.failure(now, id, WHY[outcome.why]);
    } else {
      const { status, body, retryAfterMs } = outcome;
      if (this.wire.wantsSingles?.(status, batch)) return port.regroup(now, id, SINGLES.maxEvents, SINGLES.concurrency);
      const statuses = this.wire.statuses?.(status, body, batch);
      if (statuses) port.partly(now, id, Uint16Array.from(statuses), retryAfterMs);
      else port.response(now, id, status, retryAfterMs, "", this.wire.judge ? body : body.subarray(0, 1024));
    }
    // Once what it means was done. Not by queueMicrotask, for which Node makes a context of its own.
    void Promise.resolve().then(() => this.#patience.lookAround());
  }

  /** Compresses what a request with these events alone would carry. */
  #zip(packet: Packet): void {
    const list = this.wire.list?.([packet.body!]);
    if (!CAN_ZIP || !list || list.length < GZIP_BYTES) return;
    void gzipped(list).then((zipped) => void (packet.body && (packet.zipped = zipped)), () => undefined);
  }

  /** How much shorter compression makes what is known here. */
  #ratio(): number {
    let [plain, zipped] = [1, 1];
    for (const packet of this.#packets.values()) {
      plain += packet.body!.length;
      zipped += (packet.zipped ?? packet.body!).length;
    }
    return plain / zipped;
  }

  // ---- packets

  #add(packet: Packet, handle: number): void {
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
    this.#tabs?.tell(() => ({ key: packet.key, status, attempts, ...(!isWhole && { ids: this.#ids(packet, from, to) }) }));
  }

  #buried(handle: number, index: number, attempts: number, code: number, status: number, message: string): void {
    const packet = this.#packets.get(handle)!;
    const error = new FerryError(codeOf(code), message, { status: status || undefined });
    const body = packet.slice(index, index + 1).slice();
    // Not by the place alone: when a segment was written anew with what is left of it, other events have that place.
    const letter = { key: `${packet.key}.${index}.${fingerprint(body)}`, body, lane: packet.lanes[index] ?? 0, at: Date.now(), code: error.code, status, reason: message, attempts };
    packet.die(index, error, letter);
    this.#options.tell("dead", () => ({ id: this.wire.idOf(body), error, attempts }));
    this.#tabs?.tell(() => ({ key: packet.key, ids: [this.wire.idOf(body)], status, attempts, code: error.code, message }));
  }

  #retry(restMs: number, failures: number, code: number, status: number, message: string): void {
    const { cause } = this.#pump;
    // Headers that HTTP does not allow are more than a request that did not arrive.
    const error = cause instanceof FerryError ? cause : new FerryError(codeOf(code), message, { status: status || undefined, ...(cause !== undefined && { cause }) });
    this.#options.tell("retry", () => ({ error, restMs, failures }));
    // Time alone will not mend it.
    if (!error.retryable) this.#options.tell("degraded", () => ({ error }));
  }

  #forget(handle: number, isKept: boolean): void {
    const packet = this.#packets.get(handle)!;
    this.#packets.delete(handle);
    packet.body = packet.zipped = undefined;
    if (!isKept) this.#byKey.delete(packet.key);
  }

  #ids(packet: Packet, from: number, to: number): string[] {
    return packet.texts(from, to).map((text) => this.wire.idOf(text));
  }

  /** How many events of a segment go in one request that then has no others; 0 if they may go with others. */
  #own(body: Uint8Array, sizes: ArrayLike<number>): number {
    return this.wire.kin && sizes.length > 0 ? this.wire.kin(body.subarray(0, sizes[0])).most : 0;
  }

  /** Another tab has stored something, or settled something of ours. */
  #hear({ isNew, key, ids, status, attempts, code, message }: News): void {
    if (isNew) this.#inform((port, now) => port.stir(now));
    const packet = key === undefined ? undefined : this.#byKey.get(key);
    if (!packet || packet.body) return;
    const problem = code && new FerryError(code, message, { status });
    const share = packet.left > 0 ? (ids?.length ?? packet.left) / packet.left : 0;
    const bytes = Array.from(packet.sizes).reduce((sum, size) => sum + size, 0) * share;
    const count = packet.settleElsewhere(ids, status ?? 0, attempts ?? 0, problem);
    this.#inform((port, now) => port.settled_elsewhere(now, packet.handle, problem ? 0 : count, problem ? count : 0, bytes));
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
      if (this.#isOver || life !== this.lives || !this.traits) return;
      void this.#count();
    };
    setTimeout(again, Math.min(10 * life, 1000));
  }

  #born(port: OutboxPort, now: number): void {
    for (let packet; (packet = this.#lost[0]); this.#lost.shift()) this.#recommit(port, now, packet);
    port.pause(now, this.isPaused || this.isClosed);
  }

  #recommit(port: OutboxPort, now: number, packet: Packet): void {
    this.#add(packet, port.recommit(now, Uint32Array.from(packet.sizes), Uint32Array.from(packet.lanes), this.#own(packet.body!, packet.sizes)));
  }

  /** Tells the machine something that nobody waits for. */
  #inform(fact: (port: OutboxPort, now: number) => void): void {
    this.#pump.tellUnasked(fact);
    this.#patience.lookAround();
  }
}

const COUNTERS = ["accepted", "delivered", "dead", "purged", "pending", "attempts", "refused", "droppedOldest", "droppedNewest", "staged", "bytes"] as const;
const NOTHING: Change = { put: [], remove: [], bury: [], exhume: [] };
const NO_LANES = new Uint32Array(0);

/** For `looked` of the machine. */
const LOOK_FOUND_NOTHING = 0;
const LOOK_FOUND = 1;
const LOOK_FAILED = 2;
/** Smaller bodies are not worth it. */
const GZIP_BYTES = 2048;
const CAN_ZIP = typeof CompressionStream === "function";

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === "function";
}

function closed(): FerryError {
  return new FerryError("ERR_CLOSED", "the outbox is closed");
}

async function gzipped(body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([body as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
