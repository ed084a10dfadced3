/**
 * A channel as server-sent events (HTML standard, section 9.2).
 *
 * ```text
 *   retry: 1000            how soon to come back
 *   id: 41                 where the stream stands, so that even a reader that saw nothing resumes there
 *
 *   id: 42
 *   data: {"specversion":"1.0", …}
 *
 *   :                      heartbeat
 * ```
 *
 * The stream is pulled: a slow reader is behind in the store, and nothing piles up for it here.
 */
import { toStructured } from "../systems/cloudevents/http.js";
import type { Lifetime } from "./service.js";
import type { EventStore, ReceivedEvent } from "./event-store.js";
import { startTimer, stopTimer } from "../platform/clock.js";

/** What a stream reads, and from where. */
export interface StreamOptions {
  store: EventStore;
  channel: string;
  /** The number of the last event that the reader has. */
  after: number;
  /** How long it may be silent. */
  heartbeatMs: number;
  lifetime: Lifetime;
  /** Held whole: some runtimes let a signal go deaf when its request is collected. */
  request: Request;
}

const PAGE_EVENTS = 64;

/** The events behind a number, and then each new one, until the reader leaves or the emulator is closed. */
export function eventStream({
  store,
  channel,
  after,
  heartbeatMs,
  lifetime,
  request,
}: StreamOptions): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let cursor = after;
  let isOver = false;
  let wake: (() => void) | undefined;
  let leave = () => {};
  const unwatch = store.watchers.add(() => wake?.());
  const end = () => {
    isOver = true;
    unwatch();
    leave();
    wake?.();
  };

  /** Whether something happened before the heartbeat was due. */
  const something = () =>
    new Promise<boolean>((resolve) => {
      const timer = startTimer(() => resolve(false), heartbeatMs);
      wake = () => {
        stopTimer(timer);
        resolve(true);
      };
    });

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        leave = lifetime.onClose(end, request.signal);
        const gone = cursor + 1 < store.firstSeq ? `: events before ${store.firstSeq} are gone\n` : "";
        controller.enqueue(encoder.encode(`${gone}retry: 1000\nid: ${cursor}\n\n`));
      },
      async pull(controller) {
        while (!isOver) {
          const found = store.after(cursor, PAGE_EVENTS, channel);
          if (found.length > 0) {
            cursor = found.at(-1)!.seq;
            controller.enqueue(encoder.encode(found.map(toServerSentEvent).join("")));
            return;
          }
          if (!(await something()) && !isOver) {
            controller.enqueue(encoder.encode(":\n\n"));
            return;
          }
        }
        controller.close();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

/** A line break in an event stands between tokens, where it means nothing; here it begins another data line. */
function toServerSentEvent({ seq, event }: ReceivedEvent): string {
  const { body } = toStructured(event);
  const text = typeof body === "string" ? body : new TextDecoder().decode(body);
  return `id: ${seq}\n${text
    .split(/\r\n|\r|\n/)
    .map((line) => `data: ${line}\n`)
    .join("")}\n`;
}
