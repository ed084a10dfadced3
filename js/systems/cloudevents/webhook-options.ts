/** The options of a webhook receiver, and their checks. */
import { checkOptionNames, checkTimeout } from "../../client/options.js";
import type { StandardSchema } from "../../client/standard-schema.js";
import type { FerryError } from "../../engine/errors.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import type { DedupeStore } from "../../stores/dedupe.js";
import { type AllowedOrigins, allowedOrigin } from "./allowed-origins.js";
import { type BatchOptions, checkOnInvalid } from "./batch-options.js";
import type { EventSelector } from "./event-selector.js";
import { checkLimit } from "./body.js";
import { checkSchema } from "./data-schema.js";
import { checkDedupe, type Dedupe, type DedupeOptions } from "./dedupe.js";
import { checkEnvelope, type EnvelopeOptions } from "./envelopes.js";
import type { CloudEvent } from "./event.js";
import { checkLenient } from "./lenient.js";
import type { Verifier } from "./signatures/signature.js";
import { checkVerifiers } from "./signatures/verify.js";

/** What `onEvent` gets beside the event. */
export interface WebhookContext {
  /** The request. Its body has been read. */
  request: Request;
  /** The second argument of the handler: the bindings of a Worker. */
  env: unknown;
  /** The third argument of the handler: the execution context of a Worker. */
  ctx: unknown;
  /** Aborts when the sender has gone, if the platform tells. */
  signal: AbortSignal;
}

/** What `authorize` gets beside the request. */
export interface AuthorizeContext {
  /** The body without its content encoding, as a signature covers it. */
  body: Uint8Array;
  /** The second argument of the handler. */
  env: unknown;
  /** The third argument of the handler. */
  ctx: unknown;
}

/** A sender that asks for consent before it delivers. */
export interface Handshake {
  /** The origin of the sender, or the topic of Event Grid. */
  origin: string;
  /** The URL whose request grants consent later, if the sender has named one. */
  callback: string | undefined;
}

/** Options of a webhook receiver. At least one of `verify`, `authorize` and `allowedOrigins` must be given. */
export interface WebhookOptions<T = unknown> extends BatchOptions, EnvelopeOptions {
  /**
   * The senders and pages that may deliver: host names (`events.example.com`), URLs (`https://app.example.com`), or `"*"`
   * for all. A sender states its origin itself, and a delivery without one is let in: this is the abuse protection of the
   * specification and the CORS of pages, and proves nothing about a sender. `verify` and `authorize` do.
   * @default without it, origins are not checked, and neither the handshake nor a preflight is granted
   */
  allowedOrigins?: AllowedOrigins;
  /** The requests per minute that a sender may make, announced in the handshake. @default the rate that it requests */
  allowedRate?: number;
  /**
   * Called for each event in order. A thrown error is answered with status 500, and the sender may retry. What it returns
   * is the answer: a CloudEvent or an array of them is the reply to the event; a Response is sent as it is, but not for an
   * event of a batch, which is answered with status 500 then. All else stands for no reply.
   */
  onEvent: (event: CloudEvent<T>, context: WebhookContext) => unknown;
  /** The largest body that is read, in bytes, also after it was inflated. @default 1 MiB */
  maxBytes?: number;
  /**
   * How long a sender may take for its body, in milliseconds. With a longer time, slow senders can occupy more
   * connections. @default 30 000
   */
  timeoutMs?: number;
  /**
   * Verifies the signature of each delivery before anything is decoded: `standardWebhooks`, `hmac`, `github`, `stripe`,
   * `shopify`, `slack`, `discord`, or a verifier of your own. Of several, any must agree. All else is answered with 401.
   * A signature covers the body: the attributes of an event in binary mode are headers, which nobody signs.
   * @default signatures are not verified
   */
  verify?: Verifier | readonly Verifier[];
  /**
   * Whether a delivery is authorized, for example by its `Authorization` header. It is asked after `verify`, and both
   * must agree. The request is a copy, so its body may be read. Only `true` lets it in; all else is answered with 401.
   * @default all deliveries are authorized
   */
  authorize?: (request: Request, context: AuthorizeContext) => boolean | Promise<boolean>;
  /**
   * Hands only the events on that it matches: a `Filter`, or an object with a function `matches`. A delivery of others is
   * answered like one that was handled, because its sender can do nothing about it. @default all events
   */
  filter?:
    | ({
        /** Whether the event is handed on. */
        matches(event: CloudEvent): boolean;
      } & EventSelector)
    | undefined;
  /**
   * Validates the `data` of each event, which `onEvent` gets as the schema converts it. A delivery with data that does
   * not match is answered with status 422; with `onInvalid`, only such events are left out. @default any data
   */
  schema?: StandardSchema<T>;
  /**
   * Hands each event on only once, by its `source` and `id` and the path of the request: a repeated one is answered like the
   * first, without a reply. A store, or one with the time for which it remembers events and another scope than the path.
   * While another delivery of an event is being handled, the answer is 503 with `Retry-After`. An event whose handler failed,
   * or ran for more than 60 s, is handed on again.
   * @default every delivery is handed on
   */
  dedupe?: DedupeStore | DedupeOptions;
  /**
   * Called for each refusal: a delivery that is answered with 4xx before `onEvent`, and each event that `onInvalid` leaves
   * out. `error.status` is the status of the answer.
   */
  onRejected?: (error: FerryError, request: Request) => unknown;
  /**
   * Decides about a sender that asks for consent: in a handshake of the specification, after `allowedOrigins` has allowed
   * it, or in the validation of an Azure Event Grid subscription, after `verify` and `authorize` have. `false` grants
   * nothing now. The sender is granted consent later when your program requests `callback`: check this address before, a
   * stranger may have named it. @default consent is granted at once
   */
  onHandshake?: (handshake: Handshake, request: Request) => boolean | Promise<boolean>;
  /**
   * Called with an error that `onEvent`, `verify`, `authorize`, `schema`, `lenient`, `onInvalid`, `onHandshake` or the store
   * of `dedupe` threw.
   */
  onError?: (error: unknown, request: Request) => unknown;
}

/** The options after they were checked. */
export interface CheckedOptions<T> extends WebhookOptions<T> {
  maxBytes: number;
  timeoutMs: number;
  isAllowed(origin: string): boolean;
  verifiers: readonly Verifier[];
  repeated: Dedupe | undefined;
}

const NAMES = [
  ...["onEvent", "allowedOrigins", "allowedRate", "verify", "authorize", "maxBytes", "timeoutMs", "lenient"],
  ...["onInvalid", "filter", "schema", "dedupe", "from", "onRejected", "onHandshake", "onError"],
];
const DEFAULT_MAX_BYTES = 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 30_000;

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkedWebhookOptions<T>(options: WebhookOptions<T>): CheckedOptions<T> {
  // A misspelt `verify` or `authorize` would let everybody in.
  checkOptionNames("webhook", options, NAMES);
  const { allowedOrigins, allowedRate, onEvent, maxBytes = DEFAULT_MAX_BYTES } = options;
  const { timeoutMs = DEFAULT_TIMEOUT_MS, authorize, onError, onRejected, onHandshake } = options;
  const verifiers = checkVerifiers(options.verify);
  if (allowedOrigins === undefined && authorize === undefined && verifiers.length === 0)
    throw invalidArgument(
      'webhook needs verify, authorize or allowedOrigins; received none; pass allowedOrigins: "*" to let everybody deliver',
    );
  const isAllowed = allowedOrigin(allowedOrigins);
  if (allowedRate !== undefined && !(Number.isInteger(allowedRate) && allowedRate > 0))
    throw mustBe("allowedRate", "a whole number of requests per minute above 0", allowedRate);
  checkTimeout(timeoutMs);
  checkLimit(maxBytes);
  checkLenient(options);
  checkOnInvalid(options);
  checkSchema(options.schema);
  checkEnvelope(options);
  if (options.filter !== undefined && typeof options.filter?.matches !== "function")
    throw mustBe("filter", "a Filter", options.filter);
  checkFunction("onEvent", onEvent);
  for (const [name, value] of Object.entries({ authorize, onError, onRejected, onHandshake }))
    if (value !== undefined) checkFunction(name, value);
  return { ...options, maxBytes, timeoutMs, isAllowed, verifiers, repeated: checkDedupe(options.dedupe) };
}

function checkFunction(name: string, value: unknown): void {
  if (typeof value !== "function") throw mustBe(name, "a function", value);
}
