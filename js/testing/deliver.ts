/** Delivers signed web hooks to a receiver, also with the faults against which a receiver must be safe. */
import { FerryError } from "../engine/errors.js";
import { mustBe } from "../engine/messages.js";
import { startTimer, stopTimer, type Timer, unixNow } from "../platform/clock.js";
import type { FetchLike } from "../platform/fetch.js";
import { EventBatch } from "../systems/cloudevents/batch.js";
import { toArray } from "../systems/cloudevents/check-event.js";
import type { CloudEvent } from "../systems/cloudevents/event.js";
import { type ContentMode, toHttp } from "../systems/cloudevents/http.js";
import { checkSigner, requestId } from "../systems/cloudevents/signatures/sign.js";
import type { Signer } from "../systems/cloudevents/signatures/signature.js";
import { integer } from "./service.js";
import { TextEncoder } from "../platform/text.js";

/**
 * What is wrong with a delivery. `"wrong-signature"`: its body is another one than was signed.
 * `"old-timestamp"`: it was signed an hour ago. `"no-signature"`: it has none. `"replay"`: it is right, and is sent twice.
 */
export type DeliveryFault = "wrong-signature" | "old-timestamp" | "no-signature" | "replay";

/** How events are delivered. */
export interface DeliverOptions {
  /** Signs the request, for example `standardWebhooks(secret)`. */
  sign: Signer;
  /** @default none */
  fault?: DeliveryFault;
  /** @default "structured" for one event, "batch" for several */
  mode?: ContentMode;
  /** Used in place of the global `fetch`: to call a receiver without a server. */
  fetch?: FetchLike;
  /** Added to the request. */
  headers?: Record<string, string>;
  /** Timeout of each request, in milliseconds. @default 10 000 */
  timeoutMs?: number;
}

const FAULTS: readonly unknown[] = ["wrong-signature", "old-timestamp", "no-signature", "replay"];
const OLD_MS = 60 * 60 * 1000;

/**
 * Delivers events to a receiver, as a sender of web hooks does. Resolves with its response; of a replay, with the second.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad option, `ERR_TIMEOUT`, and what `fetch` rejects with
 * @example await deliverWebhook("https://example.com/hook", event, { sign: standardWebhooks(secret), fault: "replay" });
 */
export async function deliverWebhook(
  url: string | URL,
  events: CloudEvent | Iterable<CloudEvent>,
  options: DeliverOptions,
): Promise<Response> {
  const { sign, fault, headers = {}, fetch: send = fetch } = options;
  checkSigner(sign);
  if (sign === undefined) throw mustBe("sign", "a signer, for example standardWebhooks(secret)", sign);
  if (fault !== undefined && !FAULTS.includes(fault))
    throw mustBe("fault", '"wrong-signature", "old-timestamp", "no-signature" or "replay"', fault);
  const timeoutMs = integer("timeoutMs", options.timeoutMs, 10_000, 1, 2 ** 31 - 1);
  const isOne = !(Symbol.iterator in events);
  // A generator hands its events out only once.
  const all = isOne || events instanceof EventBatch ? events : toArray(events);
  const message = toHttp(all, options.mode ?? (isOne ? "structured" : "batch"));
  const body = typeof message.body === "string" ? new TextEncoder().encode(message.body) : message.body;
  const signed = body ?? new Uint8Array(0);
  const id = await requestId(Symbol.iterator in all ? all : [all]);
  const atMs = unixNow() - (fault === "old-timestamp" ? OLD_MS : 0);
  const signature = fault === "no-signature" ? {} : await sign.sign({ id, body: signed, atMs });
  const init = {
    method: "POST",
    headers: { ...headers, ...message.headers, ...signature },
    body: fault === "wrong-signature" ? changed(signed) : signed,
    redirect: "manual" as const,
  };
  const first = await request(send, String(url), init, timeoutMs);
  if (fault !== "replay") return first;
  await first.body?.cancel();
  return request(send, String(url), init, timeoutMs);
}

async function request(send: FetchLike, url: string, init: RequestInit, timeoutMs: number): Promise<Response> {
  const controller = new AbortController();
  let timer: Timer | undefined;
  // A receiver that is called without a server may ignore the signal.
  const tooLate = new Promise<never>((_, reject) => {
    const onTimeout = () => {
      const error = new FerryError("ERR_TIMEOUT", `no answer within ${timeoutMs} ms`);
      controller.abort(error);
      reject(error);
    };
    timer = startTimer(onTimeout, timeoutMs);
  });
  try {
    return await Promise.race([send(url, { ...init, signal: controller.signal }), tooLate]);
  } finally {
    stopTimer(timer);
  }
}

/** The same JSON with white space behind it: a receiver that does not verify it takes it. */
function changed(body: Uint8Array): Uint8Array<ArrayBuffer> {
  const other = new Uint8Array(body.length + 1);
  other.set(body);
  other[body.length] = 0x20;
  return other;
}
