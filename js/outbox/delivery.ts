/** The delivery of an outbox: carries out the requests of the machine, and tells what became of each event. */
import { codeOf, FerryError, messageOf } from "../engine/errors.js";
import { OUTBOX_INPUTS, type OutboxEffects, type OutboxPort } from "../engine/ports.js";
import type { ExchangeOutcome } from "../platform/fetch.js";
import { toDeadLetter } from "./dead-letters.js";
import type { InFlight } from "./in-flight.js";
import type { OutboxMachine } from "./machine.js";
import type { SegmentTable } from "./segment-table.js";
import type { Sender } from "./sender.js";
import type { TabMessage } from "./tab-message.js";
import type { Wire } from "./wire.js";

export interface DeliveryOptions<E> {
  wire: Wire<E>;
  machine: OutboxMachine;
  segments: SegmentTable<E>;
  inFlight: InFlight;
  sender: Sender<E>;
  timeoutMs: number;
  /** Whether the identity of the events is present. If not, the outbox is on hold when this returns. */
  isPresent(): boolean;
  /** Whether it may send what is stored, see `StoreSync.confirmLead`. */
  confirmLead(): boolean | Promise<boolean>;
  /** Tells other tabs something, if there are any. */
  broadcast(message: () => TabMessage): void;
  emit(type: string, detail: () => object): void;
}

type Effects = Pick<OutboxEffects, "send" | "accepted" | "delivered" | "dead" | "retry">;

export class Delivery<E> implements Effects {
  /** Why the last request failed; undefined if it did not. */
  lastError: FerryError | undefined;
  readonly #options: DeliveryOptions<E>;

  constructor(options: DeliveryOptions<E>) {
    this.#options = options;
  }

  send(id: number, ranges: Uint32Array, isPageHidden: boolean): void {
    const { machine, segments, inFlight, sender, timeoutMs, isPresent, confirmLead } = this.#options;
    if (!isPresent()) {
      machine.send((port, now) => port.input(OUTBOX_INPUTS.notSent, now, id));
      return;
    }
    const [batch, compressedBody] = segments.batch(ranges);
    inFlight.start(id, () => segments.ranges(ranges));
    // What only this outbox has, nobody else can send.
    const mayStart = () => !batch.isStored() || confirmLead();
    const plan = sender.plan(batch, isPageHidden, compressedBody, mayStart);
    const report = (port: OutboxPort, now: number, outcome: ExchangeOutcome, setCause: (cause: unknown) => void) => {
      inFlight.end(id);
      sender.reportOutcome(port, now, id, outcome, batch, setCause);
    };
    machine.startExchange(id, plan, timeoutMs, report);
  }

  accepted(handle: number): void {
    const { segments, emit } = this.#options;
    const segment = segments.get(handle);
    segment.markAccepted();
    emit("accepted", () => ({ ids: segments.ids(segment, 0, segment.count) }));
  }

  delivered(handle: number, from: number, to: number, status: number, attempts: number): void {
    const { segments, emit, broadcast } = this.#options;
    this.lastError = undefined;
    const segment = segments.get(handle);
    const isAll = to - from === segment.count;
    const ids = () => segments.ids(segment, from, to);
    segment.markDelivered(from, to, status, attempts);
    emit("delivered", () => ({ ids: ids(), status, attempts }));
    const part = () => ({ ids: ids(), bytes: segment.bytesOf(from, to) });
    broadcast(() => ({ key: segment.key, status, attempts, ...(!isAll && part()) }));
  }

  dead(
    handle: number,
    index: number,
    attempts: number,
    code: number,
    status: number,
    detail: string,
    isAlone: boolean,
  ): void {
    const { wire, segments, emit, broadcast } = this.#options;
    const segment = segments.get(handle);
    const error = this.#error(code, status, detail);
    const letter = toDeadLetter(segment, index, error, status, attempts, isAlone);
    const id = wire.idOf(letter.body);
    segment.markDead(index, error, letter);
    emit("dead", () => ({ id, error, attempts }));
    broadcast(() => ({
      key: segment.key,
      ids: [id],
      bytes: segment.bytesOf(index, index + 1),
      status,
      attempts,
      code: error.code,
      message: error.message,
    }));
  }

  retry(delayMs: number, failures: number, code: number, status: number, detail: string, isBlocked: boolean): void {
    const { emit } = this.#options;
    // An error that prevented the request, such as a header that HTTP does not allow, says more than the machine's.
    const cause = this.#cause();
    const error = cause instanceof FerryError ? cause : this.#error(code, status, detail);
    this.lastError = error;
    emit("retry", () => ({ error, delayMs, failures }));
    if (!error.retryable || isBlocked) emit("degraded", () => ({ error }));
  }

  /** The error of the machine with this code, without what is secret. */
  #error(code: number, status: number, detail: string): FerryError {
    const { secrets } = this.#options.sender;
    const cause = this.#cause();
    return new FerryError(codeOf(code), messageOf(codeOf(code), status, secrets.redact(detail)), {
      status: status || undefined,
      cause,
    });
  }

  #cause(): unknown {
    return this.#options.sender.secrets.redactError(this.#options.machine.cause);
  }
}
