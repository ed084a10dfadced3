/** The option `from`: an envelope that is not one of CloudEvents. `envelopes.ts` has them; a program downloads those that it names. */
import { mustBe } from "../../engine/messages.js";

/** An envelope of a cloud: `eventGrid` or `pubsubPush`. */
export interface Envelope {
  /** The name of the envelope in messages. */
  readonly name: "event-grid" | "pubsub-push";
  /** @throws {FerryError} `ERR_INVALID_EVENT` for a body that is not this envelope. @internal */
  open(body: string | Uint8Array | undefined): Opened;
}

/** What was in an envelope: events as they were written and in the JSON format, or a message with headers of HTTP. */
export type Opened =
  | { readonly texts: readonly string[]; toJson(text: string): string }
  | { readonly headers: [string, string][]; readonly body: Uint8Array | undefined };

/** What is in the body of a message. */
export interface EnvelopeOptions {
  /**
   * The envelope around the events: `eventGrid` for Azure Event Grid's own schema, `pubsubPush` for Google Pub/Sub push. A
   * body without this envelope is rejected. @default none: the body is one of CloudEvents
   */
  from?: Envelope | undefined;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for what is not an envelope. */
export function checkEnvelope({ from }: EnvelopeOptions): Envelope | undefined {
  if (from !== undefined && typeof from?.open !== "function") throw mustBe("from", "eventGrid or pubsubPush", from);
  return from;
}
