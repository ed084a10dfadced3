/**
 * Failures inside a Bayeux response, which the faults of the emulator (by path and status) cannot express: refusals of
 * single messages, responses supplied by the test, and lost responses to connects.
 */
import { mustBe } from "../../engine/messages.js";
import { type BayeuxMessage, type Reply, refused } from "./messages.js";

/** Which messages to refuse, and the reply. */
export interface SalesforceRefusal {
  /** Channel of the messages: `"/meta/connect"`, `"/meta/subscribe"`, or that of a publish; `"*"` for all. */
  on: string;
  /** Only subscribe and unsubscribe messages with this subscription. @default any */
  subscription?: string;
  /** The Bayeux error: `"403::Handshake denied"`. */
  error: string;
  /** The cause in `ext.sfdc.failureReason`: `"503::Server is too busy.  Please try your request again later."` */
  failureReason?: string;
  /** The reconnect advice in the reply to a handshake or connect. @default "none" */
  reconnect?: "none" | "retry" | "handshake";
  /** Number of messages to refuse. @default 1 */
  times?: number;
}

/**
 * Answers in place of the service with a Response or with messages, or returns undefined to let the service answer.
 * An error that it throws becomes a 500 response.
 */
export type SalesforceInterceptor = (
  messages: readonly BayeuxMessage[],
  request: Request,
) => Response | readonly object[] | undefined | Promise<Response | readonly object[] | undefined>;

/** The refusals, interceptors and lost responses that a test has added. */
export class Overrides {
  #refusals: { refusal: SalesforceRefusal; left: number }[] = [];
  #interceptors: SalesforceInterceptor[] = [];
  #responsesToLose = 0;

  refuse(refusal: SalesforceRefusal): () => void {
    if (typeof refusal?.on !== "string") throw mustBe("on", 'a channel or "*"', refusal?.on);
    if (typeof refusal.error !== "string")
      throw mustBe("error", 'a string such as "403::Unknown client"', refusal.error);
    const { times = 1 } = refusal;
    if (!(Number.isInteger(times) && times > 0) && times !== Infinity)
      throw mustBe("times", "an integer of at least 1 or Infinity", times);
    const entry = { refusal: { ...refusal }, left: times };
    this.#refusals.push(entry);
    return () => {
      this.#refusals = this.#refusals.filter((other) => other !== entry);
    };
  }

  intercept(interceptor: SalesforceInterceptor): () => void {
    if (typeof interceptor !== "function") throw mustBe("interceptor", "a function", interceptor);
    this.#interceptors.push(interceptor);
    return () => {
      this.#interceptors = this.#interceptors.filter((other) => other !== interceptor);
    };
  }

  /** Loses the next connect responses that carry events. */
  loseResponses(times: number): void {
    this.#responsesToLose = times;
  }

  clear(): void {
    this.#refusals = [];
    this.#interceptors = [];
    this.#responsesToLose = 0;
  }

  /** The reply of the first refusal that matches; it counts as used. */
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

  /** The answer of the first interceptor that returns one. */
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

  /** Whether to lose this response, which carries events; it counts as lost. */
  takeLostResponse(): boolean {
    return this.#responsesToLose > 0 && this.#responsesToLose-- > 0;
  }
}
