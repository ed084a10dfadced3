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
import type { Change, DeadLetter, OutboxStore, Segment, Stock, StoreTraits } from "../stores/store.js";
import { type FetchLike, type Outcome, WHY } from "../transport.js";
import { Keys } from "./keys.js";
import { joined, Packet } from "./packet.js";
import { keepalive } from "./page.js";
import { laneOf } from "./session.js";
import { type News, Tabs } from "./tabs.js";
import { trapped } from "../wasm.js";
import type { Batch, Wire } from "./wire.js";

/** The handle of the machine, see `src/wasm/outbox.rs`. */
export interface OutboxPort extends Port {
  stage(session: number, size: number, lane: number): number;
  roll_back(session: number): number;
  commit(now: number, session: number): Uint32Array;
  recommit(now: number, sizes: Uint32Array, lanes: Uint32Array): number;
  opened(now: number, events: number, bytes: number, dead: number, deadBytes: number): void;
  written(now: number, isDone: boolean): void;
  found(now: number, sizes: Uint32Array, lanes: Uint32Array, ageMs: number, own: number): number;
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
  leave(now: number, bytes: number): void;
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
  /** The headers of the user, as lines for those of the wire. */
  headerLines(own: Record<string, string>): Promise<string> | string;
  gzip: boolean;
  tell(type: string, detail: () => object): void;
}

/** How long a store may take for one call. It may come to its end later, which is as if it had been done twice. */
const STORE_PATIENCE_MS = 10_000;
const ANSWER_BYTES = 256 * 1024;
const WAKE_MS = 10_000;

export class Driver<E> {
  readonly wire: Wire<E>;
  traits: StoreTraits | undefined;
  store: OutboxStore | undefined;
  isLeader = false;
  readonly #options: DriverOptions<E>;
  readonly #pump: Pump<OutboxPort>;
  readonly #keys = new Keys();
  /** Those that the machine knows, by its numbers. */
  #packets = new Map<number, Packet>();
  /** The same and our own that only the store has, by key. */
  #byKey = new Map<string, Packet>();
  #letters = new Map<string, DeadLetter>();
  #lines: string | undefined;
  #waiting = new Set<() => void>();
  #tabs: Tabs | undefined;
  #opening: Promise<void> | undefined;
  #isOpen = false;
  #isClosing = false;
  #isFailing = false;
  #isArmed = false;
  #sessions = 0;

  constructor(options: DriverOptions<E>) {
    this.#options = options;
    this.wire = options.wire;
    this.#pump = new Pump<OutboxPort>({
      makePort: (glue) => new glue.OutboxPort(options.config, Math.random()),
      fetch: options.fetch,
      died: () => this.#revive(),
      handlers: {
        write: (put: Uint32Array, remove: Uint32Array, bury: Uint32Array) => void this.#write(this.#change(put, remove, bury)),
        look: (events: number, bytes: number) => void this.#look(events, bytes),
        dispatch: (id: number, parts: Uint32Array, isLeaving: boolean) => void this.#dispatch(id, parts, isLeaving),
        accepted: (segment: number) => this.#accepted(segment),
        delivered: (segment: number, from: number, to: number, status: number, tries: number) => this.#delivered(segment, from, to, status, tries),
        died: (...particulars: [number, number, number, number, number, string]) => this.#died(...particulars),
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
    const { port } = this.#pump;
    try {
      return port.stage(session, size, key === undefined ? 0 : laneOf(key));
    } catch (error) {
      throw trapped(error);
    }
  }

  commit(session: number, packets: Packet[]): void {
    if (packets.length === 0) return;
    void this.open();
    const at = Date.now();
    this.#pump.tell((port, now) => {
      const handles = port.commit(now, session);
      packets.forEach((packet, index) => {
        packet.at = at;
        packet.key = this.#keys.next(at);
        this.#add(packet, handles[index]!);
      });
    });
  }

  rollBack(session: number): void {
    this.#pump.tell((port) => port.roll_back(session));
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

  /** Tells the machine something and looks who has waited for it. */
  tell<T>(fact: (port: OutboxPort, now: number) => T): T {
    const result = this.#pump.tell(fact);
    for (const look of [...this.#waiting]) look();
    return result;
  }

  ask<T>(question: (port: OutboxPort) => T): T {
    return this.#pump.ask(question);
  }

  hurry(): void {
    void this.open();
    this.tell((port, now) => port.hurry(now));
  }

  counters(): Record<(typeof COUNTERS)[number], number> {
    const numbers = this.#pump.ask((port) => port.counters());
    return Object.fromEntries(COUNTERS.map((name, at) => [name, numbers[at]!])) as Record<(typeof COUNTERS)[number], number>;
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
  untilIt(is: (port: OutboxPort) => boolean, signal: AbortSignal | undefined, deadlineMs: number | undefined): Promise<boolean> {
    let look: () => void;
    return waiting(signal, deadlineMs, (done) => {
      look = () => void (this.#pump.isRunning && this.ask(is) && done());
      this.#waiting.add(look);
      look();
    }).finally(() => this.#waiting.delete(look));
  }

  /** The page is hidden or ends. */
  leave(isResending: boolean): void {
    // What holds the events of a request together comes on top.
    if (isResending && this.#pump.isRunning) this.tell((port, now) => port.leave(now, Math.floor(keepalive.left * 0.96)));
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
    await this.open();
    const all = [...this.#byKey.values()];
    const purged = this.tell((port, now) => port.purge(now));
    for (const packet of all) packet.abandon(new FerryError("ERR_ABORTED", "the event was purged"));
    this.#byKey.clear();
    this.#letters.clear();
    const { store } = this;
    for (let segments; (segments = await store!.peek({ events: 1000, bytes: 1 << 22, skip: new Set() })).length > 0; ) {
      await store!.write({ ...NOTHING, remove: segments.map(({ key }) => key) });
    }
    for (let letters; (letters = await store!.dead(1000)).length > 0; ) {
      await store!.write({ ...NOTHING, exhume: letters.map(({ key }) => key) });
    }
    return purged;
  }

  async dead(limit: number): Promise<DeadLetter[]> {
    await this.open();
    return this.store!.dead(limit);
  }

  /** Puts dead letters back under new keys, or removes them. */
  async exhume(letters: DeadLetter[], isReplay: boolean): Promise<number> {
    if (letters.length === 0) return 0;
    const at = Date.now();
    const segment: Segment = {
      key: this.#keys.next(at),
      at,
      body: joined(letters.map(({ body }) => body)),
      sizes: Uint32Array.from(letters, ({ body }) => body.length),
      lanes: Uint32Array.from(letters, ({ lane }) => lane),
    };
    await this.store!.write({ ...NOTHING, put: isReplay ? [segment] : [], exhume: letters.map(({ key }) => key) });
    this.tell((port, now) => port.exhumed(now, letters.length, letters.reduce((sum, { body }) => sum + body.length, 0), isReplay));
    this.#tabs?.say({ isNew: true });
    return letters.length;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    // A store that does not open, or does not end, is not waited for.
    if (this.#opening) await within(this.#opening, STORE_PATIENCE_MS).catch(() => undefined);
    if (this.#isOpen) {
      this.tell((port, now) => port.pause(now, true));
      await this.untilIt((port) => port.is_settled(), undefined, STORE_PATIENCE_MS);
    }
    this.#pump.close();
    for (const packet of this.#byKey.values()) packet.abandon(new FerryError("ERR_CLOSED"));
    this.#tabs?.close();
    if (this.store) await within(this.store.close(), STORE_PATIENCE_MS);
  }

  /** Whoever starts us again shall do so, because something still waits. */
  async arm(): Promise<void> {
    try {
      if (!this.store?.wakeAt) return;
      await within(this.store.wakeAt(Date.now() + WAKE_MS), STORE_PATIENCE_MS);
      this.#isArmed = true;
    } catch (error) {
      this.#options.tell("degraded", () => ({ error }));
    }
  }

  async #disarm(): Promise<void> {
    this.#isArmed = false;
    await this.store!.wakeAt!(undefined);
  }

  // ---- the store

  async #open(): Promise<void> {
    const { store, name } = this.#options;
    let opening: Promise<StoreTraits> | undefined;
    for (let failures = 0; !this.#isOpen; failures++) {
      try {
        if (store === "auto") {
          const opened = await openAuto(name);
          this.store = opened.store;
          this.traits = opened.traits;
          for (const error of opened.refused) this.#options.tell("degraded", () => ({ error }));
        } else {
          // One that is slow is not asked twice: it may be open by then.
          opening ??= store.open(name).catch((error: unknown) => {
            opening = undefined;
            throw error;
          });
          this.traits = await within(opening, STORE_PATIENCE_MS);
          this.store = store;
        }
        const stock: Stock = await within(this.store!.count(), STORE_PATIENCE_MS);
        this.tell((port, now) => port.opened(now, stock.events, stock.bytes, stock.dead, stock.deadBytes));
        this.#isOpen = true;
      } catch (error) {
        if (this.#isClosing) {
          // Should it open after all, nobody waits for it any more.
          Promise.resolve(this.store ? undefined : opening)
            .then(() => (this.store ?? (store as OutboxStore)).close())
            .catch(() => undefined);
          return;
        }
        // What is committed waits in memory, and whoever waits for it can give up.
        this.#options.tell("degraded", () => ({ error }));
        await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 2 ** failures, 5000)));
      }
    }
    this.#tabs = new Tabs(name, this.store!, this.traits!.isShared, {
      lead: (leads) => {
        this.isLeader = leads;
        this.tell((port, now) => port.lead(now, leads));
        this.#options.tell("leader", () => ({ leads }));
      },
      hear: (news) => this.#hear(news),
    });
    this.#tabs.apply();
  }

  async #write(change: Change): Promise<void> {
    try {
      const { store } = this;
      if (change.put.length > 0 && !this.#isArmed) await this.arm();
      await within(store!.write(change), STORE_PATIENCE_MS);
      for (const { key } of change.bury) this.#letters.delete(key);
      this.#isFailing = false;
      this.tell((port, now) => port.written(now, true));
      if (change.put.length > 0) this.#tabs?.say({ isNew: true });
    } catch (error) {
      if (!this.#pump.isRunning) return;
      if (!this.#isFailing) this.#options.tell("degraded", () => ({ error }));
      this.#isFailing = true;
      this.tell((port, now) => port.written(now, false));
    }
    if (this.#isArmed && this.ask((port) => port.is_quiet())) {
      await this.#disarm().catch(() => undefined);
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
    const bury: DeadLetter[] = [];
    for (let at = 0; at < buries.length; at += 2) bury.push(this.#letters.get(`${buries[at]}.${buries[at + 1]}`)!);
    return { ...NOTHING, put, remove, bury: bury.filter((letter) => letter !== undefined) };
  }

  async #look(events: number, bytes: number): Promise<void> {
    try {
      const skip = new Set<string>();
      for (const { key } of this.#packets.values()) skip.add(key);
      const segments = await within(this.store!.peek({ events, bytes, skip }), STORE_PATIENCE_MS);
      this.tell((port, now) => {
        let found = 0;
        for (const segment of segments) {
          const own = this.#byKey.get(segment.key);
          // It may have been written while the store was looking.
          if (own?.body) continue;
          found = 1;
          const packet = own && own.count === segment.sizes.length ? own : new Packet();
          const handle = port.found(now, segment.sizes, segment.lanes ?? NO_LANES, Math.max(0, Date.now() - segment.at), own?.handle ?? 0);
          packet.at = segment.at;
          packet.key = segment.key;
          packet.sizes = segment.sizes;
          packet.lanes = segment.lanes ?? NO_LANES;
          packet.body = segment.body;
          packet.isAccepted = true;
          if (packet !== own) packet.left = packet.count;
          if (own && packet !== own) packet.follow(own, (index) => this.wire.idOf(packet.slice(index, index + 1)));
          this.#add(packet, handle);
        }
        port.looked(now, found);
      });
    } catch (error) {
      if (!this.#pump.isRunning) return;
      this.#options.tell("degraded", () => ({ error }));
      this.tell((port, now) => port.looked(now, 2));
    }
  }

  // ---- the server

  async #dispatch(id: number, parts: Uint32Array, isLeaving: boolean): Promise<void> {
    const stretches: Uint8Array[] = [];
    const events = () => {
      const all: Uint8Array[] = [];
      for (let at = 0; at < packets.length; at++) {
        for (let index = parts[3 * at + 1]!; index < parts[3 * at + 2]!; index++) all.push(packets[at]!.slice(index, index + 1));
      }
      return all;
    };
    const packets: Packet[] = [];
    let count = 0;
    for (let at = 0; at < parts.length; at += 3) {
      const packet = this.#packets.get(parts[at]!)!;
      packets.push(packet);
      stretches.push(packet.slice(parts[at + 1]!, parts[at + 2]!));
      count += parts[at + 2]! - parts[at + 1]!;
    }
    const batch: Batch = { count, stretches, events };
    try {
      const request = this.wire.request(batch);
      const { timeoutMs, headerLines } = this.#options;
      let { body } = request;
      // A page that ends waits for nobody.
      let lines = isLeaving ? this.#lines : undefined;
      if (lines === undefined) {
        if (this.#options.gzip && body.length >= 2048 && !isLeaving) {
          body = await gzipped(body);
          request.headers["content-encoding"] = "gzip";
        }
        const given = headerLines(request.headers);
        lines = typeof given === "string" ? given : await given;
        this.#lines = this.#options.gzip ? undefined : lines;
      }
      const kept = keepalive.take(body.length);
      const plan = { url: request.url, headers: lines, body, patienceMs: timeoutMs, maxAnswerBytes: ANSWER_BYTES, keepalive: kept !== undefined };
      // Also if the machine has given it up.
      void this.#pump.fly(id, plan, (port, now, outcome) => this.#land(port, now, id, outcome, batch)).then((outcome) => kept?.release(outcome.kind === "response" || outcome.why === "aborted"));
    } catch (cause) {
      this.#pump.cause = cause;
      if (this.#pump.isRunning) this.tell((port, now) => port.failure(now, id, WHY.network));
      this.#pump.cause = undefined;
    }
  }

  #land(port: OutboxPort, now: number, id: number, outcome: Outcome, batch: Batch): void {
    if (outcome.kind === "failure") {
      port.failure(now, id, WHY[outcome.why]);
    } else {
      const { status, body, retryAfterMs } = outcome;
      const statuses = this.wire.statuses?.(status, body, batch);
      if (statuses) port.partly(now, id, Uint16Array.from(statuses), retryAfterMs);
      else port.response(now, id, status, retryAfterMs, body.subarray(0, 1024));
    }
    queueMicrotask(() => {
      for (const look of [...this.#waiting]) look();
    });
  }

  // ---- packets

  #add(packet: Packet, handle: number): void {
    packet.handle = handle;
    this.#packets.set(handle, packet);
    this.#byKey.set(packet.key, packet);
  }

  #accepted(handle: number): void {
    const packet = this.#packets.get(handle)!;
    const { body } = packet;
    packet.accept();
    this.#options.tell("accepted", () => ({ ids: this.#ids(packet, body, 0, packet.count) }));
  }

  #delivered(handle: number, from: number, to: number, status: number, attempts: number): void {
    const packet = this.#packets.get(handle)!;
    const { body } = packet;
    const isWhole = to - from === packet.count;
    packet.deliver(from, to, status, attempts);
    const ids = () => this.#ids(packet, body, from, to);
    this.#options.tell("delivered", () => ({ ids: ids(), status, attempts }));
    this.#tabs?.tell(() => ({ key: packet.key, status, attempts, ...(!isWhole && { ids: ids() }) }));
  }

  #died(handle: number, index: number, attempts: number, code: number, status: number, message: string): void {
    const packet = this.#packets.get(handle)!;
    const error = new FerryError(codeOf(code), message, { status: status || undefined });
    const body = packet.slice(index, index + 1).slice();
    const letter = { key: `${packet.key}.${index}`, body, lane: packet.lanes[index] ?? 0, at: Date.now(), code: error.code, status, reason: message, attempts };
    this.#letters.set(`${handle}.${index}`, letter);
    packet.die(index, error);
    const id = () => this.wire.idOf(body);
    this.#options.tell("dead", () => ({ id: id(), error, attempts }));
    this.#tabs?.tell(() => ({ key: packet.key, ids: [id()], status, attempts, code: error.code, message }));
  }

  #retry(restMs: number, failures: number, code: number, status: number, message: string): void {
    const { cause } = this.#pump;
    const error = new FerryError(codeOf(code), message, { status: status || undefined, ...(cause !== undefined && { cause }) });
    this.#options.tell("retry", () => ({ error, restMs, failures }));
    // Time alone will not mend it.
    if (!error.retryable) this.#options.tell("degraded", () => ({ error }));
  }

  #forget(handle: number, isKept: boolean): void {
    const packet = this.#packets.get(handle)!;
    this.#packets.delete(handle);
    packet.body = undefined;
    if (!isKept) this.#byKey.delete(packet.key);
  }

  #ids(packet: Packet, body: Uint8Array<ArrayBuffer> | undefined, from: number, to: number): string[] {
    if (!body) return [];
    packet.body ??= body;
    return Array.from({ length: to - from }, (_, at) => this.wire.idOf(packet.slice(from + at, from + at + 1)));
  }

  /** Another tab has stored something, or settled something of ours. */
  #hear({ isNew, key, ids, status, attempts, code, message }: News): void {
    if (isNew) this.tell((port, now) => port.stir(now));
    const packet = key === undefined ? undefined : this.#byKey.get(key);
    if (!packet || packet.body) return;
    const problem = code && new FerryError(code, message, { status });
    const share = packet.left > 0 ? (ids?.length ?? packet.left) / packet.left : 0;
    const bytes = Array.from(packet.sizes).reduce((sum, size) => sum + size, 0) * share;
    const count = packet.settleElsewhere(ids, status ?? 0, attempts ?? 0, problem);
    this.tell((port, now) => port.settled_elsewhere(now, packet.handle, problem ? 0 : count, problem ? count : 0, bytes));
    if (packet.left === 0) this.#byKey.delete(packet.key);
  }

  /** The engine was thrown away. What is stored is found again, and what is not is committed again. */
  #revive(): void {
    const packets = [...this.#packets.values()];
    this.#packets.clear();
    for (const packet of packets) {
      if (packet.isAccepted) packet.body = undefined;
    }
    void (async () => {
      this.tell((port, now) => {
        for (const packet of packets) {
          if (!packet.isAccepted && packet.left > 0) {
            this.#add(packet, port.recommit(now, Uint32Array.from(packet.sizes), Uint32Array.from(packet.lanes)));
          }
        }
        if (!this.traits) return;
        port.opened(now, 0, 0, 0, 0);
        port.lead(now, this.isLeader);
      });
    })().catch(() => undefined);
  }
}

const COUNTERS = ["accepted", "delivered", "dead", "purged", "pending", "attempts", "refused", "droppedOldest", "droppedNewest", "staged", "bytes"] as const;
const NOTHING: Change = { put: [], remove: [], bury: [], exhume: [] };
const NO_LANES = new Uint32Array(0);

/** True when `start` has called back, false when the signal or the time came first. */
function waiting(signal: AbortSignal | undefined, deadlineMs: number | undefined, start: (done: () => void) => void): Promise<boolean> {
  return new Promise((resolve) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = (isThere: boolean) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
      resolve(isThere);
    };
    const giveUp = () => end(false);
    if (signal?.aborted) return giveUp();
    signal?.addEventListener("abort", giveUp);
    if (deadlineMs !== undefined) timer = setTimeout(giveUp, deadlineMs);
    start(() => end(true));
  });
}

function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new FerryError("ERR_STORE", `the store did not answer within ${ms / 1000} s`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

async function gzipped(body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([body as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
