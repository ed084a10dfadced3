/**
 * Publishes many events in order, with a limit of requests in flight.
 *
 * ```text
 *   iterable ──one at a time──> [ oldest … newest ]  at most `concurrency` in flight; the next event is taken when
 *                                    │               the oldest has finished
 *                           published or failed
 * ```
 */
import { aborted, checkOptionNames, checkSignal, checkTimeout } from "../../client/options.js";
import { isFerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import { type PipelineCallOptions, checkCount } from "./options.js";

/** Options of `publishAll`. */
export interface PublishAllOptions<E = unknown> extends PipelineCallOptions {
  /**
   * Limit of requests in flight, 1 to 64. With 1 the pipeline receives the events in the order of the iterable: each
   * event is sent after the response to the previous one, including retries. A higher limit is faster, but events may
   * arrive in another order: an event can overtake at most `concurrency - 1` others, because the next event is taken
   * when the oldest has finished. See `key`.
   *
   * @default 1
   */
  concurrency?: number;
  /**
   * Events with the same key keep their order for any `concurrency`: each waits for the one before it. `undefined`
   * means no key. @default no event has a key
   */
  key?: (event: E) => string | undefined;
}

/** The result of `publishAll`. Each event that was taken from the iterable is counted once. */
export interface PublishReport<E = unknown> {
  /** How many events the pipeline has accepted. */
  published: number;
  /**
   * The other events, in the order of the iterable. If only the response was lost, with `ERR_NETWORK` or `ERR_TIMEOUT`,
   * the pipeline may have accepted the event.
   */
  failed: FailedPublish<E>[];
  /**
   * Present if the end of the iterable was not reached: the signal has aborted, the source was closed, or the iterable
   * has thrown. The remaining events were not taken.
   */
  aborted?: true;
  /** The error that the iterable has thrown. */
  cause?: unknown;
}

/** An event that was not published. */
export interface FailedPublish<E = unknown> {
  /** Position of the event in the iterable, from 0. */
  index: number;
  /** The event that was not published. */
  event: E;
  /** Why the event was not published; a `FerryError` unless `key` has thrown. */
  error: unknown;
}

const MAX_CONCURRENCY = 64;

/** Publishes all events of an iterable with `publish`. */
export async function publishAll<E>(
  events: Iterable<E> | AsyncIterable<E>,
  options: PublishAllOptions<E>,
  publish: (event: E, options: PipelineCallOptions) => Promise<unknown>,
): Promise<PublishReport<E>> {
  const { concurrency, key, signal, timeoutMs } = checkOptions(options);
  const iterator = iteratorOf(events);
  const report: PublishReport<E> = { published: 0, failed: [] };
  const inFlight: Promise<void>[] = [];
  /** The last event of each key. */
  const lastOfKey = new Map<string, Promise<void>>();
  const call: PipelineCallOptions = { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
  let isOver = false;

  const send = async (index: number, event: E, previous: Promise<void> | undefined) => {
    try {
      await previous;
      await publish(event, call);
      report.published++;
    } catch (error) {
      report.failed.push({ index, event, error });
      isOver ||= isFerryError(error, "ERR_CLOSED");
    }
  };

  for (let index = 0; ; index++) {
    if (inFlight.length === concurrency) await inFlight.shift();
    if (isOver || signal?.aborted) {
      report.aborted = true;
      closeIterator(iterator);
      break;
    }
    let step: IteratorResult<E> | undefined;
    try {
      step = await nextEvent(iterator, signal, (event) =>
        report.failed.push({ index, event, error: aborted(signal!) }),
      );
    } catch (cause) {
      Object.assign(report, { aborted: true, cause });
      break;
    }
    if (!step) {
      report.aborted = true;
      break;
    }
    if (step.done) break;
    const event = step.value;
    let eventKey: string | undefined;
    try {
      eventKey = key?.(event);
    } catch (error) {
      report.failed.push({ index, event, error });
      continue;
    }
    if (eventKey === undefined) {
      inFlight.push(send(index, event, undefined));
      continue;
    }
    const sending = send(index, event, lastOfKey.get(eventKey));
    lastOfKey.set(eventKey, sending);
    const ownKey = eventKey;
    void sending.then(() => lastOfKey.get(ownKey) === sending && lastOfKey.delete(ownKey));
    inFlight.push(sending);
  }
  await Promise.all(inFlight);
  report.failed.sort((a, b) => a.index - b.index);
  return report;
}

/** The next step, or nothing if the signal aborts first. An event that comes later is passed to `onLateEvent`. */
async function nextEvent<E>(
  iterator: Iterator<E> | AsyncIterator<E>,
  signal: AbortSignal | undefined,
  onLateEvent: (event: E) => void,
): Promise<IteratorResult<E> | undefined> {
  const next = iterator.next();
  // A sync iterable needs no promise for each event.
  if (!isPromise(next))
    return isPromise(next.value) ? ({ done: next.done ?? false, value: await next.value } as IteratorResult<E>) : next;
  if (!signal) return next;
  let onAbort!: () => void;
  const abort = new Promise<undefined>((resolve) => {
    onAbort = () => resolve(undefined);
  });
  signal.addEventListener("abort", onAbort);
  try {
    const first = await Promise.race([next, abort]);
    if (!first) {
      next.then(
        (step) => !step.done && onLateEvent(step.value),
        () => undefined,
      );
      closeIterator(iterator);
    }
    return first;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Tells the iterable that no further event is needed. Its answer is not awaited, and its errors are ignored. */
function closeIterator(iterator: Iterator<unknown> | AsyncIterator<unknown>): void {
  try {
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  } catch {
    // Ignored, see above.
  }
}

function iteratorOf<E>(events: Iterable<E> | AsyncIterable<E>): Iterator<E> | AsyncIterator<E> {
  const given = events as Partial<Iterable<E> & AsyncIterable<E>> | null | undefined;
  if (typeof events !== "string") {
    if (typeof given?.[Symbol.asyncIterator] === "function") return given[Symbol.asyncIterator]!();
    if (typeof given?.[Symbol.iterator] === "function") return given[Symbol.iterator]!();
  }
  throw mustBe("events", "an array, an iterable or an async iterable", events);
}

function checkOptions<E>(options: PublishAllOptions<E>): PublishAllOptions<E> & { concurrency: number } {
  checkOptionNames("publishAll", options, ["concurrency", "key", "signal", "timeoutMs"]);
  const { concurrency = 1, key, signal, timeoutMs } = options;
  checkSignal(signal);
  checkTimeout(timeoutMs);
  checkCount("concurrency", concurrency, MAX_CONCURRENCY);
  if (key !== undefined && typeof key !== "function") throw mustBe("key", "a function", key);
  return { ...options, concurrency };
}

function isPromise<T>(value: T | PromiseLike<T>): value is Promise<T> {
  return typeof (value as PromiseLike<T> | undefined)?.then === "function";
}
