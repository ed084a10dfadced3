/**
 * Decides when the replay position of a channel is saved.
 *
 * ```text
 *   automatic   receive ──save──> application          listener done ──save──>
 *   next        receive ──> application ── next receive, close ──save──>
 *   manual      receive ──> application ── ack of it and of all before it ──save──>
 * ```
 */
import { channelName } from "../bayeux/channels.js";
import type { Message } from "../bayeux/message.js";
import { type ReplayMarker, type ReplayPolicy, type ReplayStorage, storageError, storedReplayId } from "./replay.js";

interface UnackedMessage {
  readonly message: Message;
  isAcked: boolean;
}

export class ReplayTracker {
  readonly #storage: ReplayStorage;
  readonly #policy: ReplayPolicy;
  /** For each channel, the newest message whose position is to be saved. */
  #unsaved = new Map<string, Message>();
  #saving: Promise<void> | undefined;
  /** Policy `next`: the message that was received last. */
  #previous: Message | undefined;
  /** Policy `manual`: for each channel, the received messages from the first unacknowledged one on. */
  #unacked = new Map<string, UnackedMessage[]>();
  #entries = new WeakMap<Message, UnackedMessage>();

  constructor(storage: ReplayStorage, policy: ReplayPolicy) {
    this.#storage = storage;
    this.#policy = policy;
  }

  /** The stored replay id of a channel. @throws {FerryError} `ERR_STORE`, `ERR_INVALID_ARGUMENT` */
  async find(channel: string): Promise<string | undefined> {
    let marker: ReplayMarker | null | undefined;
    try {
      marker = await this.#storage.get(channelName(channel));
    } catch (cause) {
      throw storageError("read", cause);
    }
    // An invalid marker is an error: without one, the channel would start at `initial` and lose events.
    return marker === undefined || marker === null ? undefined : storedReplayId(marker.replayId);
  }

  /** Called before `receive` returns a message. */
  beforeReceive(message: Message): Promise<void> | undefined {
    if (this.#policy === "automatic") return this.#save(message);
    if (this.#policy === "next") return this.#save(this.#replacePrevious(message));
    this.#expectAck(message);
    return undefined;
  }

  /** Called when the listeners of a message are done. */
  afterListeners(message: Message): Promise<void> | undefined {
    return this.#policy === "manual" ? undefined : this.#save(message);
  }

  ack(message: Message): Promise<void> {
    if (this.#policy !== "manual") return Promise.resolve();
    const entry = this.#entries.get(message);
    // A message of a listener: listeners run in order, so all messages before it are done.
    if (!entry) return this.#save(message) ?? Promise.resolve();
    entry.isAcked = true;
    const unacked = this.#unacked.get(message.channel) ?? [];
    let newest: Message | undefined;
    while (unacked[0]?.isAcked) newest = unacked.shift()!.message;
    return (newest && this.#save(newest)) ?? Promise.resolve();
  }

  /** Saves what is still unsaved. */
  async flush(): Promise<void> {
    await this.#save(this.#replacePrevious(undefined));
    await this.#saving;
  }

  #expectAck(message: Message): void {
    if (message.replayId === undefined) return;
    const channel = message.channel;
    const entry = { message, isAcked: false };
    this.#entries.set(message, entry);
    const unacked = this.#unacked.get(channel);
    if (unacked) unacked.push(entry);
    else this.#unacked.set(channel, [entry]);
  }

  #replacePrevious(message: Message | undefined): Message | undefined {
    const previous = this.#previous;
    this.#previous = message;
    return previous;
  }

  /** Saves run one after the other; positions that arrive during one are saved together by the next. */
  #save(message: Message | undefined): Promise<void> | undefined {
    if (message?.replayId === undefined) return undefined;
    this.#unsaved.set(message.channel, message);
    // After the current save, which may have started without this message.
    const saving = (this.#saving ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => (this.#unsaved.size > 0 ? this.#write() : undefined))
      .catch((cause: unknown) => {
        throw storageError("save", cause);
      });
    saving.catch(() => undefined);
    this.#saving = saving;
    return saving;
  }

  async #write(): Promise<void> {
    const unsaved = this.#unsaved;
    this.#unsaved = new Map();
    for (const [channel, { replayId, createdDate }] of unsaved) {
      await this.#storage.set(channel, {
        replayId: replayId!,
        ...(createdDate !== undefined && { date: createdDate }),
      });
    }
  }
}
