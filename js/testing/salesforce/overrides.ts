/**
 * What goes wrong inside of an answer, where the faults of the emulator, which know paths and statuses, do not get:
 * refusals of single messages, answers of the test's own, and polls whose events are lost on the way.
 */
import { FerryError } from "../../engine/errors.js";
import { type BayeuxMessage, type Reply, refused } from "./messages.js";
import { formatValue } from "../../engine/messages.js";

/** Messages to refuse, and how. */
export interface SalesforceRefusal {
  /** The channel of the messages: `"/meta/connect"`, `"/meta/subscribe"`, or that of a publish; `"*"` for all. */
  on: string;
  /** Only subscribe and unsubscribe messages for this. @default any */
  subscription?: string;
  /** As the protocol has it: `"403::Handshake denied"`. */
  error: string;
  /** The true cause: `"503::Server is too busy.  Please try your request again later."` */
  failureReason?: string;
  /** How an answer to a handshake or connect says to go on. @default "none" */
  reconnect?: "none" | "retry" | "handshake";
  /** How often. @default 1 */
  times?: number;
}

/**
 * Answers instead of the service: with a Response, with messages, or with undefined to let the service do it.
 * It may wait as long as it likes; what it throws breaks the connection.
 */
export type SalesforceInterceptor = (
  messages: readonly BayeuxMessage[],
  request: Request,
) => Response | readonly object[] | undefined | Promise<Response | readonly object[] | undefined>;

/** The troubles that a test has asked for. */
export class Overrides {
  #refusals: { refusal: SalesforceRefusal; left: number }[] = [];
  #interceptors: SalesforceInterceptor[] = [];
  #responsesToLose = 0;

  refuse(refusal: SalesforceRefusal): () => void {
    if (typeof refusal?.on !== "string")
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `a refusal names the channel of the messages with "on", not ${formatValue(refusal?.on)}`,
      );
    if (typeof refusal.error !== "string")
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `a refusal has an error such as "403::Unknown client", not ${formatValue(refusal.error)}`,
      );
    const { times = 1 } = refusal;
    if (!(Number.isInteger(times) && times > 0) && times !== Infinity)
      throw new FerryError("ERR_INVALID_ARGUMENT", `times is a whole number from 1, not ${formatValue(times)}`);
    const entry = { refusal: { ...refusal }, left: times };
    this.#refusals.push(entry);
    return () => void (this.#refusals = this.#refusals.filter((other) => other !== entry));
  }

  intercept(interceptor: SalesforceInterceptor): () => void {
    if (typeof interceptor !== "function")
      throw new FerryError("ERR_INVALID_ARGUMENT", `an interceptor is a function, not ${formatValue(interceptor)}`);
    this.#interceptors.push(interceptor);
    return () => void (this.#interceptors = this.#interceptors.filter((other) => other !== interceptor));
  }

  /** The next so many answers to connects that carry events are lost. */
  loseResponses(times: number): void {
    this.#responsesToLose = times;
  }

  clear(): void {
    this.#refusals = [];
    this.#interceptors = [];
    this.#responsesToLose = 0;
  }

  /** The first refusal that fits, counted. */
  refusalFor(message: BayeuxMessage): Reply | undefined {
    const entry = this.#refusals.find(
      ({ refusal: { on, subscription } }) =>
        (on === "*" || on === message.channel) && (subscription === undefined || subscription === message.subscription),
    );
    if (!entry) return undefined;
    if (--entry.left <= 0) this.#refusals = this.#refusals.filter((other) => other !== entry);
    const { error, reconnect, failureReason } = entry.refusal;
    return refused(message, error, reconnect, failureReason);
  }

  /** What the first interceptor says that says something. */
  async interceptedAnswer(
    messages: readonly BayeuxMessage[],
    request: Request,
  ): Promise<Response | readonly object[] | undefined> {
    for (const interceptor of this.#interceptors) {
      const answer = await interceptor(messages, request);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  /** Whether this answer, which carries events, is to be lost. */
  takeLostResponse(): boolean {
    return this.#responsesToLose > 0 && this.#responsesToLose-- > 0;
  }
}
