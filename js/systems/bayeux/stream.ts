/**
 * What all clients of streams own: the life from `open` to `close`, subscriptions, and an inbox.
 *
 * ```text
 *   driver ──messages──┬─> listeners of the subscription, one message after the other
 *                      └─> inbox ── receive, for await ──> application
 *   inbox or listeners full: polling pauses until half of them is free
 * ```
 */
import { Inbox } from "../../client/inbox.js";
import { aborted, checkSignal } from "../../client/options.js";
import { callersOfNow, FerryError, isFerryError, traced } from "../../engine/errors.js";
import { joinedTexts } from "../../engine/machine-options.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import { STREAM_INPUTS, STREAM_TEXT_INPUTS } from "../../engine/ports.js";
import { channelName, checkChannel, isServiceChannel } from "./channels.js";
import { StreamDriver } from "./driver.js";
import { ListenerQueue } from "./listeners.js";
import { LivenessWatcher } from "./liveness.js";
import { type Message, MessageChunk, type MessageHost, type StreamMessage } from "./message.js";
import type { StreamSystem } from "./stream-system.js";
import type {
  MessageListener,
  StreamEvents,
  StreamNotice,
  StreamNoticeKind,
  StreamState,
  StreamTransport,
  Subscription,
} from "./stream-types.js";

/** The stream of one client. `StreamClient` documents the members that clients pass on. */
export class Stream {
  readonly #system: StreamSystem;
  readonly #target: EventTarget;
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
  /** Whether the program takes messages from the inbox, so that those for no listener are kept there. */
  #usesInbox = false;
  #hasListened = false;
  readonly #host: MessageHost = {
    ack: (message) => this.#system.ack?.(message) ?? Promise.resolve(),
    originOf: (message) => {
      const { channel } = message;
      return { type: this.#system.eventTypeOf(channel), source: `${this.#origin}${encodeURI(channel)}` };
    },
  };

  /** The time until the next attempt, at the last error that time can mend. */
  #retryDelayMs = 0;
  /** The last error that time can mend: the connection is down, or a channel is held. */
  #passingError: FerryError | undefined;
  #liveness: LivenessWatcher | undefined;

  readonly #onAbort = (): void => this.#abort(this.#system.signal!);

  /** @param target dispatches the events of the stream: the client that owns it */
  constructor(system: StreamSystem, target: EventTarget) {
    this.#system = system;
    this.#target = target;
    const { signal } = system;
    this.#listeners = new ListenerQueue({
      onTaken: () => this.#driver.taken(1),
      onDone: (message) => system.afterListeners?.(message),
      onError: (error) => this.reportError(error),
    });
    this.#driver = new StreamDriver({
      ...system.driver,
      listener: {
        ...system.listener,
        onMessages: (text, table, channels) => this.#onMessages(new MessageChunk(this.#host, text, table, channels)),
        onState: (state) => this.#setState(state),
        onNotice: (kind, channel, error) => this.#onNotice(kind, channel, error),
        onConnectionLost: (error, delayMs) => {
          this.#retryDelayMs = delayMs;
          this.#passingError = error;
          this.#inbox.rejectWaiting(error);
        },
        onEnd: (error) => this.#onEnd(error),
        onRequest: (url) => {
          this.#origin ||= new URL(url).origin;
        },
      },
    });
    if (signal?.aborted) this.#abort(signal);
    else signal?.addEventListener("abort", this.#onAbort);
  }

  get state(): StreamState {
    return this.#state;
  }

  get transport(): StreamTransport | undefined {
    return this.#state === "connected" ? this.#driver.transport : undefined;
  }

  get closed(): boolean {
    return this.#phase === "closed";
  }

  get subscriptions(): ReadonlySet<string> {
    return new Set(this.#driver.subscriptions);
  }

  get pendingCount(): number {
    return this.#inbox.size + this.#listeners.size;
  }

  get hasPendingMessages(): boolean {
    return this.pendingCount > 0;
  }

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
    this.#liveness = new LivenessWatcher((what) => this.#driver.checkConnection(what));
    const withCallersOfOpen = callersOfNow();
    const onAbort = () => this.#abort(signal!);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#opening = this.#driver
      .start((port, now) => port.input(STREAM_INPUTS.open, now))
      .catch((error: unknown) => {
        throw withCallersOfOpen(signal?.aborted ? aborted(signal) : error);
      })
      .finally(() => signal?.removeEventListener("abort", onAbort));
    // If nobody awaits it, the next call reports the error.
    this.#opening.catch(() => undefined);
    return this.#opening;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async probe(): Promise<void> {
    this.#checkOpened();
    this.#checkOpen();
    await traced(this.#driver.start((port, now) => port.input(STREAM_INPUTS.probe, now)));
  }

  async subscribe<T = unknown>(
    channels: string | readonly string[],
    listener?: MessageListener<T>,
  ): Promise<Subscription | Subscription[]> {
    // A copy, because the array belongs to the caller.
    const list = Array.isArray(channels) ? [...(channels as readonly string[])] : [channels as string];
    const subscriptions = await traced(this.#subscribeTogether(list, listener));
    return Array.isArray(channels) ? subscriptions : subscriptions[0]!;
  }

  async #subscribeTogether<T = unknown>(
    channels: readonly string[],
    listener?: MessageListener<T>,
  ): Promise<Subscription[]> {
    if (channels.length === 0) throw mustBe("channels", "an array of at least one channel", channels);
    for (const channel of channels) checkChannel(channel);
    if (listener !== undefined && typeof listener !== "function") throw mustBe("listener", "a function", listener);
    this.#checkOpen();
    const setPositions = await Promise.all(channels.map((channel) => this.#system.prepareSubscription?.(channel)));
    this.#checkOpen();
    const entries = channels.map(
      (channel) => listener && { channel, name: channelName(channel), listener: listener as MessageListener },
    );
    // Before the request, because messages may arrive before the reply.
    for (const entry of entries) if (entry) this.#listeners.add(entry);
    if (listener) this.#hasListened = true;
    else this.#usesInbox = true;
    // Those too that came before the first listener: while they fill the inbox, polling pauses.
    if (this.#dropsUnclaimed) this.#driver.taken(this.#inbox.clear());
    // Messages of a service channel come without a subscription.
    const asked = channels.filter((channel) => !isServiceChannel(channel));
    const results = await Promise.allSettled(
      this.#driver.startSeveral(asked.length, (port, now) => {
        for (const setPosition of setPositions) setPosition?.(port, now);
        const input = asked.length === 1 ? STREAM_TEXT_INPUTS.subscribe : STREAM_TEXT_INPUTS.subscribeTogether;
        return port.input_texts(input, now, joinedTexts(asked), "");
      }),
    );
    const refused = results.find((result) => result.status === "rejected");
    const leave = async (channel: string) => {
      if (!isServiceChannel(channel))
        await this.#driver.start((port, now) => port.input_texts(STREAM_TEXT_INPUTS.unsubscribe, now, channel, ""));
    };
    if (refused) {
      for (const entry of entries) this.#listeners.remove(entry);
      for (const [at, { status }] of results.entries())
        if (status === "fulfilled") leave(asked[at]!).catch(() => undefined);
      throw refused.reason;
    }
    return channels.map((channel, at) => {
      let isOver = false;
      return {
        channel,
        unsubscribe: async () => {
          if (isOver) return;
          isOver = true;
          this.#listeners.remove(entries[at]);
          await traced(leave(channel));
        },
      };
    });
  }

  async unsubscribe(channel: string): Promise<void> {
    checkChannel(channel);
    this.#checkOpen();
    this.#listeners.removeChannel(channel);
    if (isServiceChannel(channel)) return;
    await traced(
      this.#driver.start((port, now) => port.input_texts(STREAM_TEXT_INPUTS.unsubscribeAll, now, channel, "")),
    );
  }

  async publish(channel: string, data: unknown): Promise<void> {
    checkChannel(channel);
    this.#checkOpened();
    this.#checkOpen();
    let text: string | undefined;
    try {
      text = JSON.stringify(data);
    } catch (cause) {
      throw new FerryError("ERR_INVALID_ARGUMENT", `data must be a JSON value: ${(cause as Error).message}`, { cause });
    }
    if (text === undefined) throw mustBe("data", "a JSON value", data);
    await traced(this.#driver.start((port, now) => port.input_texts(STREAM_TEXT_INPUTS.publish, now, channel, text)));
  }

  async receive(options: { signal?: AbortSignal } = {}): Promise<StreamMessage> {
    checkSignal(options.signal);
    this.#checkOpened();
    this.#usesInbox = true;
    const message = await traced(this.#inbox.take(options.signal));
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

  async *messages(): AsyncGenerator<StreamMessage, void, undefined> {
    for (;;) {
      if (this.#inbox.hasEnded && this.#inbox.size === 0 && !this.#inbox.error) return;
      let message: StreamMessage;
      try {
        message = await this.receive();
      } catch (error) {
        if (this.#inbox.hasEnded && !this.#inbox.error && isFerryError(error, "ERR_CLOSED")) return;
        // The client keeps trying.
        if (this.#inbox.hasEnded || error !== this.#passingError) throw error;
        this.#reportRetry(error as FerryError);
        continue;
      }
      yield message;
    }
  }

  /** The client has a listener for events of a type, so they are dispatched from now on. */
  observe(type: string): void {
    this.#observedEvents.add(type);
  }

  async #close(): Promise<void> {
    if (this.#phase === "new" && !this.#driver.isRunning) this.#driver.end();
    else this.#driver.send((port, now) => void port.input(STREAM_INPUTS.close, now));
    await this.#ended;
    this.#listeners.clear();
    await this.#system.flush?.();
  }

  #checkOpened(): void {
    if (this.#phase === "new") throw invalidArgument("the client is not open yet; await client.open() first");
  }

  #checkOpen(): void {
    if (this.#phase === "closed" || this.#closing) throw new FerryError("ERR_CLOSED");
  }

  /** Nobody would ever take messages for no listener: private ones, or those that were under way at an unsubscribe. */
  get #dropsUnclaimed(): boolean {
    return this.#hasListened && !this.#usesInbox;
  }

  #onMessages(messages: MessageChunk): void {
    const unclaimed = this.#listeners.push(messages);
    if (this.#dropsUnclaimed) this.#driver.taken(unclaimed.length);
    else this.#inbox.push(unclaimed);
    void this.#listeners.run();
  }

  #setState(state: StreamState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#liveness?.setConnected(state === "connected");
    if (this.#observedEvents.has("state")) this.#dispatch("state", { state });
  }

  #onNotice(
    reported: StreamNoticeKind | "unreadable",
    channel: string | undefined,
    error: FerryError | undefined,
  ): void {
    const kind = reported === "unreadable" ? "transient_error" : reported;
    // Without a listener for errors it must not end the program: the client keeps trying.
    if ((reported === "unreadable" || reported === "channel_held") && this.#observedEvents.has("error"))
      this.#dispatch("error", { error });
    if (kind === "subscription_lost" && channel !== undefined) {
      this.#listeners.removeChannel(channel);
      // Without a listener for notices, `receive` reports it: the client is connected, but nothing arrives any more.
      if (error && !this.#observedEvents.has("notice")) this.#inbox.pushError(error);
    }
    if (!this.#observedEvents.has("notice")) return;
    const notice: StreamNotice = { kind, ...(channel !== undefined && { channel }), ...(error && { error }) };
    this.#dispatch("notice", notice);
  }

  #reportRetry(error: FerryError): void {
    try {
      this.#system.onRetry?.(error, this.#retryDelayMs);
    } catch (thrown) {
      this.reportError(thrown);
    }
  }

  /** Tells the listeners of errors; without one, it is an error that nobody has caught. */
  reportError(error: unknown): void {
    if (this.#observedEvents.has("error")) this.#dispatch("error", { error });
    else
      queueMicrotask(() => {
        throw error;
      });
  }

  #dispatch(type: keyof StreamEvents, detail: object): void {
    this.#target.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #onEnd(error: FerryError | undefined): void {
    this.#phase = "closed";
    this.#liveness?.stop();
    // A signal that outlives the client must not keep it in memory.
    this.#system.signal?.removeEventListener("abort", this.#onAbort);
    this.#setState("disconnected");
    this.#inbox.end(error);
    this.#resolveEnded();
  }

  #abort(signal: AbortSignal): void {
    this.#inbox.end(aborted(signal));
    void this.close().catch(() => undefined);
  }
}
