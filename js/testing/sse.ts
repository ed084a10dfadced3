/**
 * A channel as server-sent events (HTML standard, section 9.2).
 *
 * ```text
 *   retry: 1000            delay before the reader reconnects
 *   id: 41                 current position, so that a reader that received nothing also resumes there
 *
 *   id: 42
 *   data: {"specversion":"1.0", …}
 *
 *   :                      heartbeat
 * ```
 *
 * The reader pulls: a slow one falls behind in the store, and nothing is buffered for it here.
 */
import type { Filter } from "../systems/cloudevents/filter/filter.js";
import { toStructured } from "../systems/cloudevents/http.js";
import type { Lifetime } from "./service.js";
import type { EventStore, ReceivedEvent } from "./event-store.js";
import { startTimer, stopTimer } from "../platform/clock.js";
import { TextDecoder, TextEncoder } from "../platform/text.js";

/** What a stream reads, and where it starts. */
export interface StreamOptions {
  store: EventStore;
  channel: string;
  /** Sequence number of the last event that the reader has. */
  after: number;
  /** Longest time without a line; then a comment is sent. */
  heartbeatMs: number;
  lifetime: Lifetime;
  /** The events to send. @default all */
  filter: Filter | undefined;
  /** The whole request, because in some runtimes its signal stops firing once the request is garbage collected. */
  request: Request;
}

const PAGE_EVENTS = 64;

/** The events after a sequence number, then each new one, until the reader cancels or the emulator is closed. */
export function eventStream({
  store,
  channel,
  after,
  heartbeatMs,
  lifetime,
  filter,
  request,
}: StreamOptions): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let cursor = after;
  let isOver = false;
  let onChange: (() => void) | undefined;
  let removeOnClose = () => {};
  const unwatch = store.watchers.add(() => onChange?.());
  const end = () => {
    isOver = true;
    unwatch();
    removeOnClose();
    onChange?.();
  };

  /** Waits for a change or the heartbeat. Resolves with whether it was a change. */
  const waitForChange = () =>
    new Promise<boolean>((resolve) => {
      const timer = startTimer(() => resolve(false), heartbeatMs);
      onChange = () => {
        stopTimer(timer);
        resolve(true);
      };
    });

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        removeOnClose = lifetime.onClose(end, request.signal);
        const lostComment = cursor + 1 < store.firstSeq ? `: events before ${store.firstSeq} are gone\n` : "";
        controller.enqueue(encoder.encode(`${lostComment}retry: 1000\nid: ${cursor}\n\n`));
      },
      async pull(controller) {
        while (!isOver) {
          const found = store.after(cursor, PAGE_EVENTS, channel);
          if (found.length > 0) {
            cursor = found.at(-1)!.seq;
            const sent = filter ? found.filter(({ event }) => filter.matches(event)) : found;
            if (sent.length === 0) continue;
            controller.enqueue(encoder.encode(sent.map(toServerSentEvent).join("")));
            return;
          }
          if (!(await waitForChange()) && !isOver) {
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

/** A line break in an event stands between JSON tokens, where it is insignificant; here it starts another data line. */
function toServerSentEvent({ seq, event }: ReceivedEvent): string {
  const { body } = toStructured(event);
  const text = typeof body === "string" ? body : new TextDecoder().decode(body);
  return `id: ${seq}\n${text
    .split(/\r\n|\r|\n/)
    .map((line) => `data: ${line}\n`)
    .join("")}\n`;
}
