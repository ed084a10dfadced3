/**
 * The client that all streams share: its life from `open` to `close`, subscriptions, and an inbox.
 *
 * ```text
 *   driver ──messages──┬─> listeners of the subscription, one message after the other
 *                      └─> inbox ── receive, for await ──> application
 *   inbox or listeners full: polling pauses until half of them is free
 * ```
 */
import { Inbox } from "../../client/inbox.js";
import { aborted, checkSignal } from "../../client/options.js";
import { FerryError } from "../../engine/errors.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import { channelName, checkChannel } from "./channels.js";
import { StreamDriver } from "./driver.js";
import { ListenerQueue } from "./listeners.js";
import { type Message, MessageChunk, type MessageHost, type StreamMessage } from "./message.js";
import type { StreamSystem } from "./stream-system.js";
import type {
  MessageListener,
  StreamEvents,
  StreamNotice,
  StreamNoticeKind,
  StreamState,
  Subscription,
} from "./stream-types.js";

/** The verbs that all clients of streams have. */
export abstract class StreamClient extends EventTarget implements AsyncIterable<StreamMessage>, AsyncDisposable {
  readonly #system: StreamSystem;
  readonly #driver: StreamDriver;
  readonly #inbox = new Inbox<Message>();
  readonly #listeners: ListenerQueue;
  #state: StreamState = "disconnected";
  #phase: "new" | "open" | "closed" = "new";
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #resolveEnded!: () => void;
  readonly #ended = new Promise<void>((resolve) => {
    this.#resolveEnded = resolve;
  });
  /** Types of events that have had a listener. */
  #observedEvents = new Set<string>();
  #origin = "";
  readonly #host: MessageHost = {
    ack: (message) => this.#system.ack?.(message) ?? Promise.resolve(),
    originOf: (message) => {
      const { channel } = message;
      return { type: this.#system.eventTypeOf(channel), source: `${this.#origin}${encodeURI(channel)}` };
    },
  };

  /** @internal */
  protected constructor(system: StreamSystem) {
    super();
    this.#system = system;
    const { signal } = system;
    this.#listeners = new ListenerQueue({
      onTaken: () => this.#driver.taken(1),
      onDone: (message) => system.afterListeners?.(message),
      onError: (error) => this.#reportError(error),
    });
    this.#driver = new StreamDriver({
      ...system.driver,
      listener: {
        ...system.listener,
        onMessages: (response, table, channels) =>
          this.#onMessages(new MessageChunk(this.#host, response, table, channels)),
        onState: (state) => this.#setState(state),
        onNotice: (kind, channel, error) => this.#onNotice(kind, channel, error),
        onConnectionLost: (error) => this.#inbox.rejectWaiting(error),
        onEnd: (error) => this.#onEnd(error),
        onRequest: (url) => {
          this.#origin ||= new URL(url).origin;
        },
      },
    });
    if (signal?.aborted) this.#abort(signal);
    else signal?.addEventListener("abort", () => this.#abort(signal), { once: true });
  }

  /** State of the connection. */
  get state(): StreamState {
    return this.#state;
  }

  /**
   * Whether the client has ended: by `close`, by a signal, or by an error. Messages that have arrived can still be
   * received.
   */
  get closed(): boolean {
    return this.#phase === "closed";
  }

  /** The subscribed channels. */
  get subscriptions(): ReadonlySet<string> {
    return new Set(this.#driver.subscriptions);
  }

  /** How many messages have arrived that were not yet received or handled by a listener. */
  get pendingCount(): number {
    return this.#inbox.size + this.#listeners.size;
  }

  /** Whether `pendingCount` is above 0. */
  get hasPendingMessages(): boolean {
    return this.pendingCount > 0;
  }

  /**
   * Connects. Resolves once connected. `signal` ends the client.
   *
   * @throws {FerryError} `ERR_UNAUTHORIZED`, `ERR_REJECTED`, `ERR_RATE_LIMITED`, `ERR_NETWORK`, `ERR_TIMEOUT`,
   * `ERR_REDIRECTED`, `ERR_UNAVAILABLE`, `ERR_ABORTED`, `ERR_CLOSED`; `ERR_INVALID_ARGUMENT` if the client is already
   * open
   */
  open(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    try {
      checkSignal(signal);
      if (this.#phase === "closed") throw new FerryError("ERR_CLOSED");
      if (this.#opening) throw invalidArgument("the client is already open");
      if (signal?.aborted) throw aborted(signal);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#phase = "open";
    const onAbort = () => this.#abort(signal!);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#opening = this.#driver
      .start((port, now) => port.open(now))
      .catch((error: unknown) => {
        throw signal?.aborted ? aborted(signal) : error;
      })
      .finally(() => signal?.removeEventListener("abort", onAbort));
    // If nobody awaits it, the next call reports the error.
    this.#opening.catch(() => undefined);
    return this.#opening;
  }

  /**
   * Disconnects and ends the client. Never rejects because of the server. Pending operations reject with `ERR_CLOSED`;
   * messages that have arrived can still be received. Further calls return the same promise.
   *
   * @throws {FerryError} `ERR_STORE` if the last replay positions could not be saved
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Subscribes to a channel, or to many with `/*` or `/**` at the end; possible before `open`. Messages go to the
   * listener, if there is one, otherwise to the inbox. Only the first subscription to a channel sends a request.
   *
   * @throws {FerryError} `ERR_REJECTED` and others with the error of the server, and its number in `status`;
   * `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_CLOSED`, `ERR_INVALID_ARGUMENT`; `ERR_STORE` if the replay position could not be
   * read
   */
  async subscribe<T = unknown>(channel: string, listener?: MessageListener<T>): Promise<Subscription> {
    checkChannel(channel);
    if (listener !== undefined && typeof listener !== "function") throw mustBe("listener", "a function", listener);
    this.#checkOpen();
    const setPosition = await this.#system.prepareSubscription?.(channel);
    this.#checkOpen();
    const entry = listener && { channel, name: channelName(channel), listener: listener as MessageListener };
    // Before the request, because messages may arrive before the reply.
    if (entry) this.#listeners.add(entry);
    try {
      await this.#driver.start((port, now) => {
        setPosition?.(port, now);
        return port.subscribe(now, channel);
      });
    } catch (error) {
      this.#listeners.remove(entry);
      throw error;
    }
    let isOver = false;
    return {
      channel,
      unsubscribe: async () => {
        if (isOver) return;
        isOver = true;
        this.#listeners.remove(entry);
        await this.#driver.start((port, now) => port.unsubscribe(now, channel, false));
      },
    };
  }

  /** Ends all subscriptions to a channel. @throws {FerryError} as `subscribe` */
  async unsubscribe(channel: string): Promise<void> {
    checkChannel(channel);
    this.#checkOpen();
    this.#listeners.removeChannel(channel);
    await this.#driver.start((port, now) => port.unsubscribe(now, channel, true));
  }

  /**
   * Publishes an event on a channel, without retries: after `ERR_TIMEOUT` or `ERR_NETWORK` it is unknown whether the
   * event arrived. Events that are published in the same turn share a request.
   *
   * @param data any JSON value
   * @throws {FerryError} `ERR_REJECTED` with the error of the server; `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_CLOSED`,
   * `ERR_INVALID_ARGUMENT`
   */
  async publish(channel: string, data: unknown): Promise<void> {
    checkChannel(channel);
    this.#checkOpen();
    let text: string | undefined;
    try {
      text = JSON.stringify(data);
    } catch (cause) {
      throw new FerryError("ERR_INVALID_ARGUMENT", `data must be a JSON value: ${(cause as Error).message}`, { cause });
    }
    if (text === undefined) throw mustBe("data", "a JSON value", data);
    await this.#driver.start((port, now) => port.publish(now, channel, text));
  }

  /**
   * Takes the next message from the inbox, and waits for one if it is empty.
   *
   * @throws {FerryError} `ERR_TIMEOUT` if the connection is down for longer than `connectionTimeoutMs` (the client
   * keeps trying, so call it again); `ERR_REJECTED`, `ERR_UNAUTHORIZED` and others if the server has ended the
   * connection, or has refused to renew a subscription; `ERR_STORE` if the replay position could not be saved (the next
   * call returns the same message); `ERR_ABORTED`; `ERR_CLOSED`
   */
  async receive(options: { signal?: AbortSignal } = {}): Promise<StreamMessage> {
    checkSignal(options.signal);
    if (this.#phase === "new") throw invalidArgument("the client is not open yet; await client.open() first");
    const message = await this.#inbox.take(options.signal);
    const saved = this.#system.beforeReceive?.(message);
    if (saved) {
      try {
        await saved;
      } catch (error) {
        this.#inbox.unshift(message);
        throw error;
      }
    }
    this.#driver.taken(1);
    return message;
  }

  /** The messages of the inbox, until the client is closed. Breaking out of the loop leaves the client open. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamMessage, void, undefined> {
    for (;;) {
      if (this.#inbox.hasEnded && this.#inbox.size === 0 && !this.#inbox.error) return;
      let message: StreamMessage;
      try {
        message = await this.receive();
      } catch (error) {
        if (this.#inbox.hasEnded && !this.#inbox.error && error instanceof FerryError && error.code === "ERR_CLOSED")
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
    this.#observedEvents.add(type);
    super.addEventListener(type, listener, options);
  }

  async #close(): Promise<void> {
    if (this.#phase === "new" && !this.#driver.isRunning) this.#driver.end();
    else this.#driver.send((port, now) => port.close(now));
    await this.#ended;
    await this.#system.flush?.();
  }

  #checkOpen(): void {
    if (this.#phase === "closed" || this.#closing) throw new FerryError("ERR_CLOSED");
  }

  #onMessages(messages: MessageChunk): void {
    this.#inbox.push(this.#listeners.push(messages));
    void this.#listeners.run();
  }

  #setState(state: StreamState): void {
    if (state === this.#state) return;
    this.#state = state;
    if (this.#observedEvents.has("state")) this.#dispatch("state", { state });
  }

  #onNotice(kind: StreamNoticeKind, channel: string | undefined, error: FerryError | undefined): void {
    if (kind === "subscription_lost" && channel !== undefined) {
      this.#listeners.removeChannel(channel);
      // Without a listener for notices, `receive` reports it: the client is connected, but nothing arrives any more.
      if (error && !this.#observedEvents.has("notice")) this.#inbox.pushError(error);
    }
    if (!this.#observedEvents.has("notice")) return;
    const notice: StreamNotice = { kind, ...(channel !== undefined && { channel }), ...(error && { error }) };
    this.#dispatch("notice", notice);
  }

  #reportError(error: unknown): void {
    if (this.#observedEvents.has("error")) this.#dispatch("error", { error });
    else
      queueMicrotask(() => {
        throw error;
      });
  }

  #dispatch(type: keyof StreamEvents, detail: object): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #onEnd(error: FerryError | undefined): void {
    this.#phase = "closed";
    this.#setState("disconnected");
    this.#inbox.end(error);
    this.#resolveEnded();
  }

  #abort(signal: AbortSignal): void {
    this.#inbox.end(aborted(signal));
    void this.close().catch(() => undefined);
  }
}
