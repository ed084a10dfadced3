/**
 * What the clients of streams have in common: a life from `open` to `close`, subscriptions, and an inbox.
 *
 * ```text
 *   driver ──messages──> listeners of the subscription, one after the other
 *                   └──> inbox ──receive, for await──> application
 *             inbox or listeners full: polling pauses until half of it is free
 * ```
 */
import { FerryError } from "../../engine/errors.js";
import { Inbox } from "../../client/inbox.js";
import { aborted, checkSignal } from "../../client/options.js";
import { checkChannel, matches, withoutFilter } from "./channels.js";
import { Driver, type DriverOptions, type StreamListener, type StreamState } from "./driver.js";
import { type Message, type MessageHome, Messages, type StreamMessage } from "./message.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";
import type { StreamPort } from "../../engine/ports.js";

/** Takes messages as they come. The next one waits for its promise. */
export type MessageListener<T = unknown> = (message: StreamMessage<T>) => unknown;

/** Something to know although all goes on. */
export interface StreamNotice {
  /**
   * `session_replaced`: the server had forgotten the session, and there is another. `possible_gap`: messages of `channel` may have been lost.
   * `replay_gap`: the server no longer had the place where `channel` was to go on, so it goes on elsewhere. `replay_unsupported`: the server
   * offers no replay. `subscription_lost`: the server refused to go on with `channel`. `transport_fallback`: no WebSocket.
   * `multiple_clients`: another tab has the connection, so this one asks now and then. `closed_by_server`. `transient_error`: something failed and will be retried.
   */
  readonly kind: string;
  readonly channel?: string;
  readonly error?: FerryError;
}

/** Events of a client, for `addEventListener`. */
export interface StreamEvents {
  state: CustomEvent<{ readonly state: StreamState }>;
  notice: CustomEvent<StreamNotice>;
  /** A listener of a subscription has thrown, or a mark could not be saved. Without anybody who listens it is reported as uncaught. */
  error: CustomEvent<{ readonly error: unknown }>;
}

/** One subscription. */
export interface Subscription {
  readonly channel: string;
  /** Takes it back; the server hears of it when the last subscription to the channel is. */
  unsubscribe(): Promise<void>;
}

interface Listening {
  readonly channel: string;
  readonly listener: MessageListener;
}

/** What a room adds. */
export interface StreamRoom {
  driver: Omit<DriverOptions, "listener">;
  listener: Pick<StreamListener, "credentials" | "sign" | "rotated">;
  maxPending: number;
  signal: AbortSignal | undefined;
  /** Before a channel is subscribed to: where it goes on. */
  prepare?(channel: string): Promise<((port: StreamPort) => void) | undefined>;
  /** A message is given to the application. */
  hand?(message: Message): Promise<void> | undefined;
  /** A listener is done with it. */
  done?(message: Message): Promise<void> | undefined;
  ack?(message: Message): Promise<void>;
  /** All that is to be saved is. */
  settle?(): Promise<void>;
  typeOf(channel: string): string;
}

export abstract class StreamClient extends EventTarget implements AsyncIterable<StreamMessage>, AsyncDisposable {
  readonly #room: StreamRoom;
  readonly #driver: Driver;
  readonly #feed: Inbox<Message>;
  #state: StreamState = "disconnected";
  #phase: "new" | "open" | "closed" = "new";
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #whenEnded!: () => void;
  readonly #ended = new Promise<void>((resolve) => (this.#whenEnded = resolve));
  #subscriptions = new Map<string, number>();
  #listening: Listening[] = [];
  /** Answers with messages for listeners, by the number of the channel. */
  #work: { messages: Messages; listeners: MessageListener[][] }[] = [];
  /** How many messages these have in them that no listener is done with. */
  #workCount = 0;
  #isWorking = false;
  #isWorkFull = false;
  #isInboxFull = false;
  #listened = new Set<string>();
  readonly #home: MessageHome = {
    ack: (message) => this.#room.ack?.(message) ?? Promise.resolve(),
    origin: (message) => {
      const channel = withoutFilter(message.channel);
      return { type: this.#room.typeOf(channel), source: `${this.#origin}${encodeURI(channel)}` };
    },
  };
  #origin = "";

  protected constructor(room: StreamRoom) {
    super();
    this.#room = room;
    this.#feed = new Inbox<Message>({
      limit: room.maxPending,
      onFull: () => this.#setFull(true, this.#isWorkFull),
      onDrained: () => this.#setFull(false, this.#isWorkFull),
    });
    this.#driver = new Driver({
      ...room.driver,
      listener: {
        ...room.listener,
        messages: (answer, table, channels) => {
          this.#arrive(new Messages(this.#home, answer, table, channels));
          // The machine has paused until it knows that there is room.
          if (!this.#isInboxFull && !this.#isWorkFull) this.#driver.tell((port, now) => port.resume(now));
        },
        state: (state) => this.#setState(state),
        notice: (kind, channel, error) => this.#notice(kind, channel, error),
        lost: (error) => this.#feed.rejectWaiting(error),
        ended: (error) => this.#end(error),
        sent: (url) => (this.#origin ||= new URL(url).origin),
      },
    });
    const { signal } = room;
    if (signal?.aborted) this.#abort(signal);
    else signal?.addEventListener("abort", () => this.#abort(signal), { once: true });
  }

  /** Where the link is. `connecting` as well while it is being repaired. */
  get state(): StreamState {
    return this.#state;
  }

  /** Whether it was closed, by whomever. Messages that have arrived can still be taken. */
  get closed(): boolean {
    return this.#phase === "closed";
  }

  /** The channels that are subscribed to. */
  get subscriptions(): ReadonlySet<string> {
    return new Set(this.#subscriptions.keys());
  }

  /** How many messages have arrived and were not taken yet. */
  get pendingCount(): number {
    return this.#feed.size + this.#workCount;
  }

  get hasPendingMessages(): boolean {
    return this.pendingCount > 0;
  }

  /**
   * Makes the connection. Resolves when the link works.
   *
   * @throws {FerryError} `ERR_UNAUTHORIZED`, `ERR_REJECTED`, `ERR_RATE_LIMITED`, `ERR_NETWORK`, `ERR_TIMEOUT`, `ERR_REDIRECTED`, `ERR_UNAVAILABLE`, `ERR_ABORTED`,
   * `ERR_CLOSED`; `ERR_INVALID_ARGUMENT` if it is open
   */
  open(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    try {
      checkSignal(signal);
      if (this.#phase === "closed") throw new FerryError("ERR_CLOSED");
      if (this.#opening) throw invalidArgument("the client is open already");
      if (signal?.aborted) throw aborted(signal);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#phase = "open";
    const giveUp = () => this.#abort(signal!);
    signal?.addEventListener("abort", giveUp, { once: true });
    this.#opening = this.#driver
      .start((port, now) => port.open(now))
      .catch((error: unknown) => {
        throw signal?.aborted ? aborted(signal) : error;
      })
      .finally(() => signal?.removeEventListener("abort", giveUp));
    // Who did not wait for it sees it at the next call.
    this.#opening.catch(() => undefined);
    return this.#opening;
  }

  /**
   * Says goodbye and ends. Never rejects for what the server does. What is under way is refused with `ERR_CLOSED`; messages that have arrived can
   * still be taken. Closing again gives the same promise.
   */
  close(): Promise<void> {
    return (this.#closing ??= (async () => {
      if (this.#phase === "new" && !this.#driver.isRunning) this.#driver.forget();
      else this.#driver.tell((port, now) => port.close(now));
      await this.#ended;
      await this.#room.settle?.();
    })());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Subscribes to a channel, or with `/*` and `/**` at its end to many; before `open` as well. Messages go to the listener, if there is one,
   * otherwise into the inbox. A second subscription to a channel costs no message to the server.
   *
   * @throws {FerryError} `ERR_REJECTED` and others with what the server said, its number in `status`; `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_CLOSED`, `ERR_INVALID_ARGUMENT`
   */
  async subscribe<T = unknown>(channel: string, listener?: MessageListener<T>): Promise<Subscription> {
    checkChannel(channel);
    if (listener !== undefined && typeof listener !== "function")
      throw invalidArgument(`a listener is a function, not ${formatValue(listener)}`);
    this.#checkAlive();
    const prepared = await this.#room.prepare?.(channel);
    this.#checkAlive();
    const listening = listener && { channel, listener: listener as MessageListener };
    // Messages may come before the reply.
    if (listening) this.#listening.push(listening);
    try {
      await this.#driver.start((port, now) => {
        prepared?.(port);
        return port.subscribe(now, channel);
      });
    } catch (error) {
      this.#listening = this.#listening.filter((other) => other !== listening);
      throw error;
    }
    this.#subscriptions.set(channel, (this.#subscriptions.get(channel) ?? 0) + 1);
    let isOver = false;
    return {
      channel,
      unsubscribe: async () => {
        if (isOver) return;
        isOver = true;
        this.#listening = this.#listening.filter((other) => other !== listening);
        const others = (this.#subscriptions.get(channel) ?? 1) - 1;
        if (others > 0) this.#subscriptions.set(channel, others);
        else this.#subscriptions.delete(channel);
        await this.#driver.start((port, now) => port.unsubscribe(now, channel, false));
      },
    };
  }

  /** Takes all subscriptions to a channel back. @throws {FerryError} as `subscribe` */
  async unsubscribe(channel: string): Promise<void> {
    checkChannel(channel);
    this.#checkAlive();
    this.#subscriptions.delete(channel);
    this.#listening = this.#listening.filter((listening) => listening.channel !== channel);
    await this.#driver.start((port, now) => port.unsubscribe(now, channel, true));
  }

  /**
   * Publishes on a channel, once: if it rejects with `ERR_TIMEOUT` or `ERR_NETWORK`, nobody knows whether it arrived. What is published in one go leaves in
   * one request.
   *
   * @throws {FerryError} `ERR_REJECTED` with what the server said; `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_CLOSED`, `ERR_INVALID_ARGUMENT`
   */
  async publish(channel: string, data: unknown): Promise<void> {
    checkChannel(channel);
    this.#checkAlive();
    let text: string | undefined;
    try {
      text = JSON.stringify(data);
    } catch (cause) {
      throw new FerryError("ERR_INVALID_ARGUMENT", `the data is no JSON value: ${(cause as Error).message}`, { cause });
    }
    if (text === undefined) throw invalidArgument("the data is no JSON value");
    await this.#driver.start((port, now) => port.publish(now, channel, text));
  }

  /**
   * The next message that no listener takes. Waits for it.
   *
   * @throws {FerryError} `ERR_TIMEOUT` if the link is down for longer than `connectionTimeoutMs` (the client goes on trying, so it may be called again);
   * `ERR_REJECTED`, `ERR_UNAUTHORIZED` and others when the server has ended the connection for good; what a lost subscription was refused with; `ERR_STORE` if how far the channel got
   * could not be saved (the message comes again with the next call); `ERR_ABORTED`; `ERR_CLOSED`
   */
  async receive(options: { signal?: AbortSignal } = {}): Promise<StreamMessage> {
    checkSignal(options.signal);
    if (this.#phase === "new") throw invalidArgument("the client is not open yet: await client.open() first");
    const message = await this.#feed.take(options.signal);
    const saved = this.#room.hand?.(message);
    if (saved) {
      try {
        await saved;
      } catch (error) {
        this.#feed.unshift(message);
        throw error;
      }
    }
    return message;
  }

  /** Messages that no listener takes, until the client is closed. Leaving the loop leaves the client open. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamMessage, void, undefined> {
    for (;;) {
      if (this.#feed.hasEnded && this.#feed.size === 0 && !this.#feed.error) return;
      let message: StreamMessage;
      try {
        message = await this.receive();
      } catch (error) {
        if (this.#feed.hasEnded && !this.#feed.error && error instanceof FerryError && error.code === "ERR_CLOSED")
          return;
        throw error;
      }
      yield message;
    }
  }

  override addEventListener<K extends keyof StreamEvents>(
    type: K,
    listener: (event: StreamEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    this.#listened.add(type);
    super.addEventListener(type, listener, options);
  }

  #arrive(messages: Messages): void {
    if (this.#listening.length === 0) return this.#feed.push(messages);
    const listeners = messages.channels.map((channel) =>
      this.#listening.filter((listening) => matches(listening.channel, channel)).map(({ listener }) => listener),
    );
    const rest: number[] = [];
    for (let index = 0; index < messages.length; index++)
      if (listeners[messages.channelOf(index)]!.length === 0) rest.push(index);
    const count = messages.length - rest.length;
    if (count > 0) this.#work.push({ messages, listeners });
    this.#workCount += count;
    if (rest.length > 0) this.#feed.push(messages.some(rest));
    void this.#workOff();
  }

  /** One message after the other, and at once as long as nobody has to be waited for. */
  async #workOff(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    for (let work = this.#work.shift(); work; work = this.#work.shift()) {
      const { messages, listeners } = work;
      for (let index = 0; index < messages.length; index++) {
        const those = listeners[messages.channelOf(index)]!;
        if (those.length === 0) continue;
        const message = messages.at(index);
        for (const listener of those) {
          try {
            const said = listener(message) as PromiseLike<unknown> | undefined;
            if (typeof said?.then === "function") {
              if (this.#workCount >= this.#room.maxPending) this.#setFull(this.#isInboxFull, true);
              await said;
            }
          } catch (error) {
            this.#report(error);
          }
        }
        const saved = this.#room.done?.(message);
        if (saved) await saved.catch((error: unknown) => this.#report(error));
        this.#workCount--;
        if (this.#isWorkFull && this.#workCount <= this.#room.maxPending / 2) this.#setFull(this.#isInboxFull, false);
      }
    }
    this.#isWorking = false;
  }

  #setFull(isInboxFull: boolean, isWorkFull: boolean): void {
    const was = this.#isInboxFull || this.#isWorkFull;
    this.#isInboxFull = isInboxFull;
    this.#isWorkFull = isWorkFull;
    const is = isInboxFull || isWorkFull;
    if (is !== was) this.#driver.tell((port, now) => (is ? port.pause(now) : port.resume(now)));
  }

  #setState(state: StreamState): void {
    if (state === this.#state) return;
    this.#state = state;
    if (this.#listened.has("state")) this.#tell("state", { state });
  }

  #notice(kind: string, channel: string | undefined, error: FerryError | undefined): void {
    if (kind === "subscription_lost" && channel !== undefined) {
      this.#subscriptions.delete(channel);
      this.#listening = this.#listening.filter((listening) => listening.channel !== channel);
      // Connected but deaf is what nobody must be without knowing.
      if (error && !this.#listened.has("notice")) this.#feed.pushError(error);
    }
    if (this.#listened.has("notice"))
      this.#tell("notice", { kind, ...(channel !== undefined && { channel }), ...(error && { error }) });
  }

  #report(error: unknown): void {
    if (this.#listened.has("error")) this.#tell("error", { error });
    else
      queueMicrotask(() => {
        throw error;
      });
  }

  #tell(type: keyof StreamEvents, detail: object): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #end(error: FerryError | undefined): void {
    this.#phase = "closed";
    this.#setState("disconnected");
    this.#subscriptions.clear();
    this.#feed.end(error);
    this.#whenEnded();
  }

  #abort(signal: AbortSignal): void {
    this.#feed.end(aborted(signal));
    void this.close().catch(() => undefined);
  }

  #checkAlive(): void {
    if (this.#phase === "closed" || this.#closing) throw new FerryError("ERR_CLOSED");
  }
}
