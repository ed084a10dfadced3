/**
 * Drives the engine of a stream: requests, sockets, operations. `src/bayeux` and `src/salesforce` implement the engine.
 *
 * ```text
 *   operation ──> engine ──┬─ send ────────> extensions ──> fetch ──response──> extensions ──> engine
 *                          ├─ socket_send ─> extensions ──> WebSocket ──text──> extensions ──> engine
 *                          ├─ settled ─────> promise of the operation
 *                          └─ messages, state, notice, lost, ended ──> listener
 * ```
 */
import { streams } from "../../engine/modules/streams.js";
import { Secrets } from "../../client/redact.js";
import { codeOf, FerryError } from "../../engine/errors.js";
import { optionNumbers, optionTexts } from "../../engine/machine-options.js";
import {
  FAILURE,
  type LoginEffects,
  STREAM_INPUTS,
  STREAM_NUMBERS,
  STREAM_TEXT_INPUTS,
  STREAM_TEXTS,
  type StreamEffects,
  type StreamErrorParts,
  type StreamPort,
  type StreamsGlue,
} from "../../engine/ports.js";
import { Pump } from "../../engine/pump.js";
import { copyInto, joined, totalLength } from "../../platform/bytes.js";
import { monotonicNow, unixNow } from "../../platform/clock.js";
import type { ExchangeOutcome, RequestPlan } from "../../platform/fetch.js";
import { random } from "../../platform/random.js";
import type { StreamCommand, StreamDriverOptions } from "./driver-options.js";
import { ALL_DROPPED, TIMED_OUT } from "./extension-runner.js";
import { andThen } from "./extensions.js";
import { decodePieces, type MessageText, messageText } from "./message-text.js";
import { withHeaders } from "./request-headers.js";
import { Sockets } from "./socket.js";
import type { StreamNoticeKind, StreamState, StreamTransport } from "./stream-types.js";
import { TextDecoder, TextEncoder } from "../../platform/text.js";

/** States of the engine, in the order of `State` in `src/bayeux/session/types.rs`. */
const STATES: readonly StreamState[] = ["connecting", "connecting", "connected", "disconnected"];

interface PendingOperation {
  resolve(): void;
  reject(error: FerryError): void;
}

/** Clocks differ by less than this all the time. */
const MAX_CLOCK_DRIFT_MS = 1000;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class StreamDriver {
  readonly #options: StreamDriverOptions;
  readonly #pump: Pump<StreamPort, StreamsGlue>;
  readonly #sockets: Sockets;
  #operations = new Map<number, PendingOperation>();
  /** The frame of the socket that the engine currently reads. */
  #frame = "";
  /** The wall clock at the zero of the monotonic clock, as the engine knows it. */
  #epoch: number | undefined;
  /** What servers may repeat in their errors. */
  readonly #secrets = new Secrets();
  /** Why the network failed last. The engine may report a failure later, when it stops to try. */
  #networkCause: unknown;
  #isDrainScheduled = false;
  /** Messages that were taken and that the engine was not told of yet. */
  #taken = 0;
  /** How many messages must be taken before the engine reads on; 0 if it reads. */
  #excess = 0;
  #hasEnded = false;

  constructor(options: StreamDriverOptions) {
    this.#options = options;
    const { listener, extensions } = options;
    this.#sockets = new Sockets(options.makeSocket ?? ((url) => new WebSocket(url)), {
      onOpen: (id) => this.#pump.sendInBackground((port, now) => void port.input(STREAM_INPUTS.socketOpened, now, id)),
      onText: (id, text) => {
        if (extensions) extensions.receive(-id, text, undefined, (changed) => this.#onFrame(id, text, changed));
        else this.#onSocketText(id, text);
      },
      onClose: (id, code, cause) => {
        this.#networkCause = cause;
        this.#pump.sendInBackground((port, now) => void port.input(STREAM_INPUTS.socketClosed, now, id, code));
      },
    });
    this.#pump = new Pump<StreamPort, StreamsGlue>({
      module: streams,
      makePort: (glue, effects) => {
        const config = options.config();
        const [numbers, texts] = [optionNumbers(STREAM_NUMBERS, config), optionTexts(STREAM_TEXTS, config)];
        const { messages, ...others } = effects as StreamEffects<MessageText>;
        const decoding: StreamEffects = {
          ...others,
          // At once: the bytes are in memory that the engine frees.
          messages: (table, channels, excess, bytes) =>
            messages(table, channels, excess, messageText(bytes.length > 0 ? decodePieces(bytes) : [this.#frame])),
        };
        return this.#withClock(new glue.StreamPort(numbers, texts, random(), decoding));
      },
      fetch: options.fetch,
      handlers: {
        send: (
          id: number,
          url: string,
          headers: string,
          body: Uint8Array,
          timeoutMs: number,
          maxResponseBytes: number,
          responseHeaders: string,
          isLogin: boolean,
        ) => this.#sendRequest(id, { url, headers, body, timeoutMs, maxResponseBytes, responseHeaders }, isLogin),
        messages: (table: Uint32Array, channels: string[], excess: number, text: MessageText) => {
          this.#excess = excess;
          listener.onMessages(text, table, channels);
        },
        settled: (op: number, code: number, status: number, message: string, reply: string[]) => {
          const operation = this.#operations.get(op);
          this.#operations.delete(op);
          if (code === 0) operation?.resolve();
          else operation?.reject(this.#error(code, status, message, reply)!);
        },
        state: (state: number) => {
          if (STATES[state] === "connected") this.#networkCause = undefined;
          listener.onState(STATES[state]!);
        },
        notice: (kind: StreamNoticeKind | "unreadable", channel: string | undefined, ...error: StreamErrorParts) =>
          listener.onNotice(kind, channel, this.#error(...error)),
        connection_lost: (code: number, status: number, message: string, reply: string[], delayMs: number) =>
          listener.onConnectionLost(this.#error(code, status, message, reply)!, delayMs),
        ended: (...error: StreamErrorParts) => this.#end(this.#error(...error)),
        need_credentials: (isRenewal: boolean) => {
          listener.credentials(isRenewal).then(
            (headers) =>
              this.send((port, now) => void port.input_texts(STREAM_TEXT_INPUTS.authorize, now, headers, "")),
            (error: unknown) =>
              this.send((port, now) => {
                const message = (error as Error)?.message ?? String(error);
                port.input_texts(STREAM_TEXT_INPUTS.unauthorized, now, message, "");
              }),
          );
        },
        socket_open: (id: number, url: string) => this.#sockets.open(id, url),
        socket_send: (id: number, text: string) => this.#sendText(id, text),
        socket_close: (id: number) => this.#sockets.close(id),
        ...options.login?.((command) => this.send(command)),
      } satisfies Omit<StreamEffects<MessageText>, keyof LoginEffects>,
      onReset: () => this.#end(new FerryError("ERR_INTERNAL")),
    });
  }

  /** Whether the engine has been started. */
  get isRunning(): boolean {
    return this.#pump.isRunning;
  }

  /**
   * Starts an operation. The effects are run in a microtask, so that the operations of one turn share a request.
   *
   * @param command returns the number of the operation
   */
  start(command: (port: StreamPort, now: number) => number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) {
        reject(new FerryError("ERR_CLOSED"));
        return;
      }
      try {
        const op = this.#pump.query((port) => command(port, monotonicNow()));
        this.#operations.set(op, { resolve, reject });
        this.#scheduleDrain();
      } catch (error) {
        reject(error as FerryError);
      }
    });
  }

  /** Sends a command to the engine and runs its effects. Ignored after the end. */
  send(command: StreamCommand): void {
    if (this.#hasEnded) return;
    this.#pump.sendInBackground((port, now) => {
      this.#syncClock(port, now);
      command(port, now);
    });
  }

  /** The port, whose timers also follow the wall clock: they are the first to run after a sleep. */
  #withClock(port: StreamPort): StreamPort {
    const input = port.input.bind(port) as (input: number, now: number, ...numbers: unknown[]) => number;
    port.input = (number, now, ...numbers) => {
      if (number === STREAM_INPUTS.tick && this.#syncClock(port, now)) input(STREAM_INPUTS.networkChanged, now, true);
      return input(number, now, ...numbers);
    };
    return port;
  }

  /**
   * Tells the engine if the wall clock was set, or went on while the monotonic clock stood still. Returns whether it went
   * on.
   */
  #syncClock(port: StreamPort, now: number): boolean {
    const epoch = unixNow() - monotonicNow();
    this.#epoch ??= epoch;
    if (Math.abs(epoch - this.#epoch) <= MAX_CLOCK_DRIFT_MS) return false;
    const hasSlept = epoch > this.#epoch;
    this.#epoch = epoch;
    port.input(STREAM_INPUTS.setClock, now, epoch);
    return hasSlept;
  }

  /** Compares the clocks, and reports that the network is back, or that the page is visible again. */
  checkConnection(what: "clock" | "network" | "page"): void {
    if (this.#hasEnded || !this.#pump.isRunning) return;
    this.#pump.sendInBackground((port, now) => {
      const hasSlept = this.#syncClock(port, now);
      if (hasSlept || what !== "clock") port.input(STREAM_INPUTS.networkChanged, now, hasSlept || what === "network");
    });
  }

  /** Starts operations whose numbers follow one another. `command` returns the first. */
  startSeveral(count: number, command: (port: StreamPort, now: number) => number): Promise<void>[] {
    let first: number | undefined;
    return Array.from({ length: count }, (_, at) =>
      this.start((port, now) => {
        first ??= command(port, now);
        return first + at;
      }),
    );
  }

  /** The channels that the server has accepted. */
  get subscriptions(): readonly string[] {
    return this.#hasEnded || !this.#pump.isRunning ? [] : this.#pump.query((port) => port.subscriptions());
  }

  /** The transport in use; undefined before the start and after the end. */
  get transport(): StreamTransport | undefined {
    if (this.#hasEnded || !this.#pump.isRunning) return undefined;
    return this.#pump.query((port) => port.transport() as StreamTransport);
  }

  /** Messages have left the inbox. The engine is told when it waits for that, otherwise with the next response. */
  taken(count: number): void {
    this.#taken += count;
    if (this.#excess > 0 && this.#taken >= this.#excess)
      this.send((port, now) => {
        this.#excess = port.input(STREAM_INPUTS.taken, now, this.#takeCount());
      });
  }

  /** Ends a stream whose engine was never started. */
  end(): void {
    this.#end(undefined);
  }

  #takeCount(): number {
    const count = this.#taken;
    this.#taken = 0;
    return count;
  }

  #scheduleDrain(): void {
    if (this.#isDrainScheduled) return;
    this.#isDrainScheduled = true;
    queueMicrotask(() => {
      this.#isDrainScheduled = false;
      this.send((port, now) => port.input(STREAM_INPUTS.tick, now));
    });
  }

  #sendRequest(id: number, plan: RequestPlan, isLogin: boolean): void {
    const { headers, extensions, listener } = this.#options;
    listener.onRequest(plan.url);
    const onOutcome = (_port: StreamPort, _now: number, outcome: ExchangeOutcome) => this.#onOutcome(id, outcome);
    this.#secrets.addHeaders(plan.headers);
    const isComplete = headers === undefined || isLogin;
    let complete = isComplete ? plan : withHeaders(plan, headers, this.#secrets);
    if (extensions && !isLogin) {
      complete = andThen(complete, (plan) => extensions.request(id, plan));
      // They may have added a token.
      complete = andThen(complete, (plan) => {
        this.#secrets.addHeaders(plan.headers);
        return plan;
      });
    }
    this.#pump.startExchange(id, complete, onOutcome, plan.timeoutMs);
  }

  #sendText(id: number, text: string): void {
    const { extensions } = this.#options;
    if (!extensions) {
      this.#sockets.send(id, text);
      return;
    }
    extensions.send(-id, text, (changed, replies) => {
      if (changed !== undefined) this.#sockets.send(id, changed);
      if (replies.length > 0) queueMicrotask(() => this.#onSocketText(id, JSON.stringify(replies)));
    });
  }

  #onOutcome(id: number, outcome: ExchangeOutcome): void {
    const { port } = this.#pump;
    const { extensions } = this.#options;
    if (outcome.kind === "failure" && outcome.cause === ALL_DROPPED) {
      this.#onOutcome(id, extensions!.answer(id));
      return;
    }
    const now = monotonicNow();
    // What has arrived after a sleep shows that the connection works.
    this.#syncClock(port, now);
    if (outcome.kind === "failure") {
      this.#networkCause = outcome.cause;
      extensions?.forget(id);
      port.input(STREAM_INPUTS.failure, now, id, FAILURE[outcome.reason]);
      return;
    }
    const { chunks, headers } = outcome;
    if (!extensions || totalLength(chunks) === 0) {
      extensions?.forget(id);
      this.#onResponse(id, outcome, chunks);
      return;
    }
    extensions.receive(id, decoder.decode(joined(chunks)), headers, (changed, isLater) => {
      const report = () => {
        if (changed === TIMED_OUT) port.input(STREAM_INPUTS.failure, monotonicNow(), id, FAILURE.timeout);
        else this.#onResponse(id, outcome, changed === undefined ? chunks : [encoder.encode(changed)]);
      };
      if (isLater) this.send(report);
      else report();
    });
  }

  #onResponse(
    id: number,
    { status, retryAfterMs, headers }: ExchangeOutcome & { kind: "response" },
    chunks: readonly Uint8Array[],
  ): void {
    const { port } = this.#pump;
    copyBody(port, chunks);
    port.response_and_taken(monotonicNow(), this.#takeCount(), id, status, retryAfterMs, headers);
  }

  /** A frame after the extensions. One that they have not let through in time is lost, so the socket is reopened. */
  #onFrame(id: number, text: string, changed: string | undefined | typeof TIMED_OUT): void {
    this.#onSocketText(id, changed === TIMED_OUT ? "" : (changed ?? text));
  }

  #onSocketText(id: number, text: string): void {
    this.#frame = text;
    this.send((port, now) => {
      copyBody(port, [encoder.encode(text)]);
      port.input(STREAM_INPUTS.socketText, now, id);
    });
  }

  #error(...[code, status, message, [reply, ...serverArguments]]: StreamErrorParts): FerryError | undefined {
    if (code === 0) return undefined;
    const name = codeOf(code);
    const isNetwork = name === "ERR_NETWORK" || name === "ERR_TIMEOUT";
    const pumpCause = this.#pump.cause ?? (isNetwork ? this.#networkCause : undefined);
    const cause = pumpCause === ALL_DROPPED ? undefined : this.#secrets.redactError(pumpCause);
    return new FerryError(name, this.#secrets.redact(message), {
      status: status || undefined,
      ...(reply !== undefined && {
        body: encoder.encode(this.#secrets.redact(reply)),
        serverArguments: serverArguments.map((argument) => this.#secrets.redact(argument)),
      }),
      cause,
    });
  }

  #end(error: FerryError | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#sockets.closeAll();
    const operations = [...this.#operations.values()];
    this.#operations.clear();
    for (const operation of operations) operation.reject(error ?? new FerryError("ERR_CLOSED"));
    this.#options.listener.onEnd(error);
    // Later, because the pump may still be running the effects of the engine.
    queueMicrotask(() => this.#pump.close());
  }
}

/** Copies the body of a response, or a frame, to where the engine reads it. */
function copyBody(port: StreamPort, chunks: readonly Uint8Array[]): void {
  const length = totalLength(chunks);
  const address = port.body_buffer(length);
  copyInto(new Uint8Array(streams.glue.exportsNow().memory.buffer, address, length), chunks);
}
