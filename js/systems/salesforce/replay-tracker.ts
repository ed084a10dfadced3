/**
 * Drives the machine that decides when the replay position of a channel is saved (`src/salesforce/marks.rs`), and saves
 * it in the storage of the application.
 */
import { streams } from "../../engine/modules/streams.js";
import { type EffectQueue, effectQueue } from "../../engine/effect-queue.js";
import { FerryError } from "../../engine/errors.js";
import { MARKS_INPUTS, type MarksEffects, type MarksPort, POLICIES } from "../../engine/ports.js";
import { channelName } from "../bayeux/channels.js";
import type { Message } from "../bayeux/message.js";
import { type ReplayMarker, type ReplayPolicy, type ReplayStorage, storageError, storedReplayId } from "./replay.js";

interface PendingOperation {
  resolve(): void;
  reject(error: FerryError): void;
}

type Position = [channel: string, replayId: string, date: string | undefined];

export class ReplayTracker {
  readonly #storage: ReplayStorage;
  readonly #policy: ReplayPolicy;
  readonly #queue: EffectQueue<MarksEffects>;
  #port: MarksPort | undefined;
  /** The instance that the port belongs to. Looked up before each use: a listener would keep the client in memory. */
  #generation = 0;
  #operations = new Map<number, PendingOperation>();
  /** The operation with which each message was received. */
  #received = new WeakMap<Message, number>();
  /** Why the last save failed. */
  #saveError: unknown;

  constructor(storage: ReplayStorage, policy: ReplayPolicy) {
    this.#storage = storage;
    this.#policy = policy;
    this.#queue = effectQueue<MarksEffects>({
      save: (channel, replayId, date) => void this.#save(channel, { replayId, ...(date !== undefined && { date }) }),
      settled: (op, isSaved) => {
        const operation = this.#operations.get(op);
        this.#operations.delete(op);
        if (isSaved) operation?.resolve();
        else operation?.reject(storageError("save", this.#saveError));
      },
    });
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
  beforeReceive(message: Message): Promise<void> {
    const { channel, replayId } = message;
    // The date needs the parsed data.
    const date = replayId === undefined ? undefined : message.createdDate;
    return this.#start((port) => {
      const op = port.input(MARKS_INPUTS.received, 0, channel, replayId, date);
      this.#received.set(message, op);
      return op;
    });
  }

  /** Called when the listeners of a message are done. */
  afterListeners(message: Message): Promise<void> | undefined {
    const position = positionOf(message);
    return position && this.#start((port) => port.input(MARKS_INPUTS.handled, 0, ...position));
  }

  ack(message: Message): Promise<void> {
    const position = positionOf(message);
    if (!position || this.#policy !== "manual") return Promise.resolve();
    return this.#start((port) => port.input(MARKS_INPUTS.acked, this.#received.get(message) ?? 0, ...position));
  }

  /** Saves what is still unsaved. */
  async flush(): Promise<void> {
    if (this.#port) await this.#start((port) => port.input(MARKS_INPUTS.flush, 0, "", undefined, undefined));
  }

  #start(input: (port: MarksPort) => number): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        const op = streams.call(() => input(this.#openPort()));
        this.#operations.set(op, { resolve, reject });
        this.#queue.run();
      } catch (error) {
        reject(error as FerryError);
      }
    });
  }

  #openPort(): MarksPort {
    if (this.#generation !== streams.generation) this.#reset();
    if (!this.#port) {
      this.#port = new streams.glue.MarksPort(POLICIES[this.#policy], this.#queue.effects);
      this.#generation = streams.generation;
    }
    return this.#port;
  }

  /** The engine was discarded after a trap, and the machine with it. */
  #reset(): void {
    this.#port = undefined;
    const operations = [...this.#operations.values()];
    this.#operations.clear();
    for (const operation of operations) operation.reject(new FerryError("ERR_INTERNAL"));
  }

  async #save(channel: string, marker: ReplayMarker): Promise<void> {
    const port = this.#port;
    let isSaved = true;
    try {
      await this.#storage.set(channel, marker);
    } catch (error) {
      isSaved = false;
      this.#saveError = error;
    }
    // The machine that asked for the save may be gone.
    if (!port || port !== this.#port) return;
    if (this.#generation !== streams.generation) return this.#reset();
    streams.call(() => port.saved(isSaved));
    this.#queue.run();
  }
}

function positionOf(message: Message): Position | undefined {
  const { channel, replayId } = message;
  return replayId === undefined ? undefined : [channel, replayId, message.createdDate];
}
