/**
 * Publishes many events: takes one from the iterable when there is room for it, and keeps their order.
 *
 * ```text
 *   iterable ──one at a time──> [ oldest … newest ]  at most `concurrency` under way; the next one is taken when the oldest is done
 *                                    │
 *                          published, or among the failed
 * ```
 */
import { isFerryError } from "../../engine/errors.js";
import { aborted, checkOptionNames, checkSignal, checkTimeout } from "../../client/options.js";
import type { PipelineCallOptions } from "./pipeline.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** How many events are published. */
export interface PublishAllOptions<E = unknown> extends PipelineCallOptions {
  /**
   * Requests under way at once, 1 to 64. With 1 each event is answered, its repetitions included, before the next one is sent, so the pipeline gets them
   * in the order of the iterable. With more they are sent in that order but may arrive in another: an event can overtake at most
   * `concurrency - 1` others, because the next one is only taken when the oldest is done. See `key`.
   *
   * @default 1
   */
  concurrency?: number;
  /** Events with the same key keep their order whatever `concurrency` says: each waits for the one before it. `undefined` is no key. */
  key?: (event: E) => string | undefined;
}

/** What became of the events. Each that was taken from the iterable is counted once. */
export interface PublishReport<E = unknown> {
  /** How many the pipeline has taken. */
  published: number;
  /** Those it has not, in the order of the iterable. When only an answer was lost, the pipeline may have one of them all the same: the code of the error is then `ERR_NETWORK` or `ERR_TIMEOUT`. */
  failed: FailedPublish<E>[];
  /** There if the end of the iterable was not reached: the signal aborted, the source was closed, or the iterable threw. What is left in it was not touched. */
  aborted?: true;
  /** What the iterable threw, if it did. */
  cause?: unknown;
}

export interface FailedPublish<E = unknown> {
  /** Its place in the iterable, from 0. */
  index: number;
  event: E;
  error: unknown;
}

const MOST_AT_ONCE = 64;

/** Publishes all events of an iterable with `publish`. */
export async function publishAll<E>(
  events: Iterable<E> | AsyncIterable<E>,
  options: PublishAllOptions<E>,
  publish: (event: E, options: PipelineCallOptions) => Promise<unknown>,
): Promise<PublishReport<E>> {
  const { concurrency, key, signal, timeoutMs } = checked(options);
  const iterator = iteratorOf(events);
  const report: PublishReport<E> = { published: 0, failed: [] };
  const underWay: Promise<void>[] = [];
  /** The last one of each key. */
  const lanes = new Map<string, Promise<void>>();
  const call: PipelineCallOptions = { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
  let isOver = false;

  const send = async (index: number, event: E, before: Promise<void> | undefined) => {
    try {
      await before;
      await publish(event, call);
      report.published++;
    } catch (error) {
      report.failed.push({ index, event, error });
      isOver ||= isFerryError(error, "ERR_CLOSED");
    }
  };

  for (let index = 0; ; index++) {
    if (underWay.length === concurrency) await underWay.shift();
    if (isOver || signal?.aborted) {
      report.aborted = true;
      endOf(iterator);
      break;
    }
    let step: IteratorResult<E> | undefined;
    try {
      step = await nextOf(iterator, signal, (event) => report.failed.push({ index, event, error: aborted(signal!) }));
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
    let lane: string | undefined;
    try {
      lane = key?.(event);
    } catch (error) {
      report.failed.push({ index, event, error });
      continue;
    }
    const work = send(index, event, lane === undefined ? undefined : lanes.get(lane));
    if (lane !== undefined) {
      lanes.set(lane, work);
      const itsLane = lane;
      void work.then(() => lanes.get(itsLane) === work && lanes.delete(itsLane));
    }
    underWay.push(work);
  }
  await Promise.all(underWay);
  report.failed.sort((a, b) => a.index - b.index);
  return report;
}

/** The next event, or nothing if the signal comes first. An event that comes after that is given to `late`, so that it is not lost. */
async function nextOf<E>(
  iterator: Iterator<E> | AsyncIterator<E>,
  signal: AbortSignal | undefined,
  late: (event: E) => void,
): Promise<IteratorResult<E> | undefined> {
  const next = iterator.next();
  // Without a promise in between, where there is none: a hundred thousand of them take their time.
  if (!isPromise(next))
    return isPromise(next.value) ? ({ done: next.done ?? false, value: await next.value } as IteratorResult<E>) : next;
  if (!signal) return next;
  let giveUp!: () => void;
  const given = new Promise<undefined>((resolve) => (giveUp = () => resolve(undefined)));
  signal.addEventListener("abort", giveUp);
  try {
    const first = await Promise.race([next, given]);
    if (!first) {
      next.then(
        (step) => !step.done && late(step.value),
        () => undefined,
      );
      endOf(iterator);
    }
    return first;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

/** Tells the iterable that nobody wants more. It may take its time, or fail. */
function endOf(iterator: Iterator<unknown> | AsyncIterator<unknown>): void {
  try {
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  } catch {
    // Nobody is there to hear of it.
  }
}

function iteratorOf<E>(events: Iterable<E> | AsyncIterable<E>): Iterator<E> | AsyncIterator<E> {
  const given = events as Partial<Iterable<E> & AsyncIterable<E>> | null | undefined;
  if (typeof events !== "string") {
    if (typeof given?.[Symbol.asyncIterator] === "function") return given[Symbol.asyncIterator]!();
    if (typeof given?.[Symbol.iterator] === "function") return given[Symbol.iterator]!();
  }
  throw invalidArgument(`publishAll takes an array or something else to iterate over, not ${formatValue(events)}`);
}

function checked<E>(options: PublishAllOptions<E>): PublishAllOptions<E> & { concurrency: number } {
  checkOptionNames("publishAll", options, ["concurrency", "key", "signal", "timeoutMs"]);
  const { concurrency = 1, key, signal, timeoutMs } = options;
  checkSignal(signal);
  checkTimeout(timeoutMs);
  if (!(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= MOST_AT_ONCE)) {
    throw invalidArgument(`concurrency is a whole number from 1 to ${MOST_AT_ONCE}, not ${formatValue(concurrency)}`);
  }
  if (key !== undefined && typeof key !== "function")
    throw invalidArgument(`key is a function of an event, not ${formatValue(key)}`);
  return { ...options, concurrency };
}

function isPromise<T>(value: T | PromiseLike<T>): value is Promise<T> {
  return typeof (value as PromiseLike<T> | undefined)?.then === "function";
}
