/** Extensions of the application. They need every message parsed, in both directions. */
import { mustBe } from "../../engine/messages.js";

/** A Bayeux message as it is sent or received. */
export type RawMessage = Record<string, unknown> & {
  /** The channel. */
  channel: string;
};

type Replacement = RawMessage | null | undefined | void;
type Awaitable<T> = T | Promise<T>;

/** What a message travels with. */
export interface ExtensionContext {
  /**
   * The HTTP headers: those of the request, which the function may change, or those of the response. Undefined over a
   * WebSocket. A browser hides cookies.
   */
  readonly headers: Headers | undefined;
}

/**
 * Functions that see every message, those of the protocol included. They may change the message, return another one, or
 * return null to drop it; or a promise of that. A promise that takes longer than `timeoutMs` counts as a lost request or
 * response.
 */
export interface BayeuxExtension {
  /** Called for each message before it is sent. */
  outgoing?(message: RawMessage, context: ExtensionContext): Awaitable<Replacement>;
  /** Called for each message after it has arrived. */
  incoming?(message: RawMessage, context: ExtensionContext): Awaitable<Replacement>;
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

/**
 * The extensions of one client. `source` names an exchange by its id, a socket by its negative id. A result is a promise
 * only if an extension has returned one.
 */
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
  outgoing(source: number, text: string, headers: Headers | undefined): Awaitable<string | undefined> {
    const messages = JSON.parse(text) as RawMessage[];
    const extensions = [...this.#extensions].reverse();
    return andThen(all(messages.map((message) => apply("outgoing", message, extensions, { headers }))), (changed) => {
      const refusals = messages.filter((_, at) => changed[at] === undefined).map(refusalOf);
      if (refusals.length > 0) this.#replies.set(source, refusals);
      const kept = changed.filter((message) => message !== undefined);
      return kept.length > 0 ? JSON.stringify(kept) : undefined;
    });
  }

  /** Runs the extensions over incoming messages. Returns them with the replies to dropped messages. */
  incoming(source: number, text: string, headers: Headers | undefined): Awaitable<string> {
    let messages: RawMessage[];
    try {
      const parsed = JSON.parse(text) as RawMessage | RawMessage[];
      messages = Array.isArray(parsed) ? parsed : [parsed];
    } catch {
      // The engine reports what is not Bayeux.
      return text;
    }
    const objects = messages.filter((message) => typeof message === "object" && message !== null);
    const changed = objects.map((message) => apply("incoming", message, this.#extensions, { headers }));
    return andThen(all(changed), (changed) =>
      JSON.stringify([...changed.filter((message) => message !== undefined), ...this.takeReplies(source)]),
    );
  }

  /** Removes and returns the replies to dropped messages. */
  takeReplies(source: number): RawMessage[] {
    const replies = this.#replies.get(source) ?? [];
    this.#replies.delete(source);
    return replies;
  }
}

/** The reply of a CometD server whose extension drops a message. */
function refusalOf({ channel, id, subscription }: RawMessage): RawMessage {
  return {
    channel,
    id,
    ...(subscription !== undefined && { subscription }),
    successful: false,
    error: "404::message_deleted",
  };
}

/** The message after all extensions; undefined if one of them drops it. */
function apply(
  hook: "outgoing" | "incoming",
  message: RawMessage,
  extensions: readonly BayeuxExtension[],
  context: ExtensionContext,
): Awaitable<RawMessage | undefined> {
  const { id } = message;
  const step = (current: RawMessage, at: number): Awaitable<RawMessage | undefined> => {
    const extension = extensions[at];
    if (extension) {
      return andThen(extension[hook]?.(current, context), (changed) =>
        changed === null ? undefined : step(changed ?? current, at + 1),
      );
    }
    // The engine matches replies by id, so extensions cannot change it.
    return id === undefined ? current : Object.assign(current, { id });
  };
  return step(message, 0);
}

/** Goes on now with a value, or later with that of a promise. */
export function andThen<T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(value) ? Promise.resolve(value).then(next) : next(value);
}

/** Whether a value is a promise, of any implementation. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof (value as PromiseLike<T> | undefined | null)?.then === "function";
}

function all<T>(values: Awaitable<T>[]): Awaitable<T[]> {
  return values.some(isPromise) ? Promise.all(values) : (values as T[]);
}
