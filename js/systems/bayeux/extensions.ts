/** Extensions of the application: functions that see every message, and may change or drop it. They cost the parsing of everything. */
import { mustBe } from "../../engine/messages.js";

/** A message as it travels. */
export type RawMessage = Record<string, unknown> & { channel: string };

/** Functions that see every message, those of the protocol as well. Each may change the message, give another, or give null to drop it. */
export interface BayeuxExtension {
  outgoing?(message: RawMessage): RawMessage | null | undefined | void;
  incoming?(message: RawMessage): RawMessage | null | undefined | void;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkExtensions(extensions: unknown): void {
  if (extensions === undefined) return;
  const isGood = (extension: BayeuxExtension | null) =>
    typeof extension === "object" &&
    extension !== null &&
    [extension.outgoing, extension.incoming].every((hook) => hook === undefined || typeof hook === "function");
  if (!Array.isArray(extensions) || !extensions.every(isGood))
    throw mustBe("extensions", "an array of objects with functions outgoing and incoming", extensions);
}

/** The extensions of one client. */
export class Extensions {
  readonly #all: readonly BayeuxExtension[];
  /** What the server is to have said of messages that were dropped. */
  readonly #replies = new Map<number, RawMessage[]>();

  constructor(extensions: readonly BayeuxExtension[]) {
    this.#all = extensions;
  }

  /** What goes out instead; nothing if all was dropped. */
  outgoing(source: number, text: string): string | undefined {
    const dropped: RawMessage[] = [];
    const kept = (JSON.parse(text) as RawMessage[]).flatMap((message) => {
      const { channel, id, subscription } = message;
      const changed = this.#run("outgoing", message, [...this.#all].reverse());
      // As a CometD server says it.
      if (!changed)
        dropped.push({
          channel,
          id,
          ...(subscription !== undefined && { subscription }),
          successful: false,
          error: "404::message_deleted",
        });
      return changed ?? [];
    });
    if (dropped.length > 0) this.#replies.set(source, dropped);
    return kept.length > 0 ? JSON.stringify(kept) : undefined;
  }

  /** What came in instead. */
  incoming(source: number, text: string): string {
    let messages: RawMessage[];
    try {
      const parsed = JSON.parse(text) as RawMessage | RawMessage[];
      messages = Array.isArray(parsed) ? parsed : [parsed];
    } catch {
      // Not Bayeux; the machine says so.
      return text;
    }
    const kept = messages.flatMap((message) =>
      typeof message === "object" && message !== null ? (this.#run("incoming", message, this.#all) ?? []) : [],
    );
    return JSON.stringify([...kept, ...this.take(source)]);
  }

  /** What the server is to have said of what was dropped. */
  take(source: number): RawMessage[] {
    const replies = this.#replies.get(source) ?? [];
    this.#replies.delete(source);
    return replies;
  }

  #run(
    hook: "outgoing" | "incoming",
    message: RawMessage,
    extensions: readonly BayeuxExtension[],
  ): RawMessage | undefined {
    const { id } = message;
    for (const extension of extensions) {
      const changed = extension[hook]?.(message);
      if (changed === null) return undefined;
      if (changed !== undefined) message = changed;
    }
    // The reply is known by it.
    if (id !== undefined) message["id"] = id;
    return message;
  }
}
