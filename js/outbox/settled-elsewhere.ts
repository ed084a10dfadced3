/** What other tabs and processes tell of events that are known here: they have delivered them, or made dead letters of them. */
import { FerryError } from "../engine/errors.js";
import { OUTBOX_INPUTS, type OutboxPort, OUTBOX_LIST_INPUTS } from "../engine/ports.js";
import type { SegmentTable } from "./segment-table.js";
import type { TabMessage } from "./tab-message.js";
import type { TrackedSegment } from "./tracked-segment.js";

export interface SettledElsewhereOptions<E> {
  segments: SegmentTable<E>;
  isLeader(): boolean;
  send(input: (port: OutboxPort, now: number) => void): void;
}

export class SettledElsewhere<E> {
  readonly #options: SettledElsewhereOptions<E>;

  constructor(options: SettledElsewhereOptions<E>) {
    this.#options = options;
  }

  /** Another tab has settled events. */
  onMessage(news: TabMessage): void {
    const { segments, isLeader } = this.#options;
    const segment = news.key === undefined ? undefined : segments.getByKey(news.key);
    if (segment?.body && isLeader() && !news.code) this.#delivered(segment, news);
    // The machine still has it: the news are faster than the end of its write.
    else if (segment?.body) segment.news.push(news);
    else if (segment) this.#settle(segment, news);
  }

  /** The machine has forgotten a segment that is only in the store now: acts on what other tabs have told of it. */
  onEvicted(segment: TrackedSegment): void {
    for (const news of segment.news.splice(0)) this.#settle(segment, news);
  }

  /** Tells the machine that others have settled events of a segment that is only in the store. */
  tell(segment: TrackedSegment, { delivered, dead }: { delivered: number; dead: number }, bytes: number): void {
    const { segments, send } = this.#options;
    send((port, now) => port.input(OUTBOX_INPUTS.settledElsewhere, now, segment.handle, delivered, dead, bytes));
    if (segment.pending === 0) segments.deleteKey(segment.key);
  }

  #settle(segment: TrackedSegment, { ids, bytes = 0, status, attempts, code, message }: TabMessage): void {
    const error = code && new FerryError(code, message, { status });
    const before = segment.pendingBytes;
    const count = segment.settleElsewhere(ids, status ?? 0, attempts ?? 0, error, bytes);
    const settled = error ? { delivered: 0, dead: count } : { delivered: count, dead: 0 };
    this.tell(segment, settled, before - segment.pendingBytes);
  }

  /** A former leader has got the answer to a request of its own, before this one has sent the events again. */
  #delivered(segment: TrackedSegment, { ids, status = 0 }: TabMessage): void {
    const { segments, send } = this.#options;
    const wanted = new Set(ids);
    const indices = segments
      .ids(segment, 0, segment.count)
      .flatMap((id, index) => (!ids || wanted.has(id) ? index : []));
    const list = Float64Array.from(indices);
    send((port, now) => port.input_list(OUTBOX_LIST_INPUTS.deliveredElsewhere, now, segment.handle, status, list));
  }
}
