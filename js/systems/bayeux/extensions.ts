/** Extensions of the application. They need every message parsed, in both directions. */
import { mustBe } from "../../engine/messages.js";

/** A Bayeux message as it is sent or received. */
export type RawMessage = Record<string, unknown> & {
  /** The channel. */
  channel: string;
};

type Replacement = RawMessage | null | undefined | void;

/**
 * Functions that see every message, those of the protocol included. They may change the message, return another one, or
 * return null to drop it.
 */
export interface BayeuxExtension {
  /** Called for each message before it is sent. */
  outgoing?(message: RawMessage): Replacement;
  /** Called for each message after it has arrived. */
  incoming?(message: RawMessage): Replacement;
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

/** The extensions of one client. `source` names an exchange by its id, a socket by its negative id. */
export class Extensions {
  readonly #extensions: readonly BayeuxExtension[];
  /** For each source, the replies to dropped messages that the server will never send. */
  readonly #replies = new Map<number, RawMessage[]>();

  constructor(extensions: readonly BayeuxExtension[]) {
    this.#extensions = extensions;
  }

  /**
   * Runs the extensions over outgoing messages. Returns the text to send, or undefined if every message was dropped.
   */
  outgoing(source: number, text: string): string | undefined {
    const refusals: RawMessage[] = [];
    const kept = (JSON.parse(text) as RawMessage[]).flatMap((message) => {
      const { channel, id, subscription } = message;
      const changed = apply("outgoing", message, [...this.#extensions].reverse());
      // The reply of a CometD server whose extension drops a message.
      if (!changed)
        refusals.push({
          channel,
          id,
          ...(subscription !== undefined && { subscription }),
          successful: false,
          error: "404::message_deleted",
        });
      return changed ?? [];
    });
    if (refusals.length > 0) this.#replies.set(source, refusals);
    return kept.length > 0 ? JSON.stringify(kept) : undefined;
  }

  /** Runs the extensions over incoming messages. Returns them with the replies to dropped messages. */
  incoming(source: number, text: string): string {
    let messages: RawMessage[];
    try {
      const parsed = JSON.parse(text) as RawMessage | RawMessage[];
      messages = Array.isArray(parsed) ? parsed : [parsed];
    } catch {
      // The engine reports what is not Bayeux.
      return text;
    }
    const kept = messages.flatMap((message) =>
      typeof message === "object" && message !== null ? (apply("incoming", message, this.#extensions) ?? []) : [],
    );
    return JSON.stringify([...kept, ...this.takeReplies(source)]);
  }

  /** Removes and returns the replies to dropped messages. */
  takeReplies(source: number): RawMessage[] {
    const replies = this.#replies.get(source) ?? [];
    this.#replies.delete(source);
    return replies;
  }
}

function apply(
  hook: "outgoing" | "incoming",
  message: RawMessage,
  extensions: readonly BayeuxExtension[],
): RawMessage | undefined {
  const { id } = message;
  let current = message;
  for (const extension of extensions) {
    const changed = extension[hook]?.(current);
    if (changed === null) return undefined;
    if (changed !== undefined) current = changed;
  }
  // The engine matches replies by id, so extensions cannot change it.
  if (id !== undefined) Object.assign(current, { id });
  return current;
}
