/** Operations of a machine that each settle once: promises for the numbers that it gives. */
import { FerryError, codeOf } from "./errors.js";
import { type Port, Pump } from "./pump.js";
import type { FetchLike } from "./transport.js";
import type { FullGlue } from "./wasm.js";

/** An operation under way. */
export interface Operation<T> {
  resolve(done: T): void;
  reject(error: FerryError): void;
}

/** What the port of such a machine has in addition. */
export interface OperationsPort extends Port {
  cancel(op: number): void;
  close(): void;
}

/** Drives a machine and settles its operations. */
export class Operations<P extends OperationsPort, T> {
  readonly #pump: Pump<P>;
  #all = new Map<number, Operation<T>>();
  #isClosed = false;

  constructor(makePort: (glue: FullGlue) => P, fetch: FetchLike | undefined) {
    this.#pump = new Pump<P>({
      makePort,
      fetch,
      handlers: {
        send: (id: number, url: string, headers: string, body: Uint8Array, patienceMs: number) =>
          this.#pump.fly(id, { url, headers, body, patienceMs }),
        delivered: (op: number, status: number, attempts: number) => this.#settle(op)?.resolve({ status, attempts } as T),
        failed: (op: number, code: number, status: number, message: string) => {
          const { cause } = this.#pump;
          const particulars = { status: status || undefined, ...(cause !== undefined && { cause }) };
          this.#settle(op)?.reject(new FerryError(codeOf(code), message, particulars));
        },
      },
      died: () => {
        // Nobody else will settle what is under way.
        const lost = [...this.#all.values()];
        this.#all.clear();
        for (const operation of lost) operation.reject(new FerryError("ERR_INTERNAL"));
      },
    });
  }

  /** Gives a command that starts an operation. Returns its number. */
  start(command: (port: P, now: number) => number, operation: Operation<T>): number {
    if (this.#isClosed) throw new FerryError("ERR_CLOSED");
    // The machine may settle it before `tell` returns.
    let op = 0;
    this.#pump.tell((port, now) => {
      op = command(port, now);
      this.#all.set(op, operation);
    });
    return op;
  }

  /** Gives up an operation. */
  cancel(op: number): void {
    if (this.#all.has(op)) this.#pump.tell((port) => port.cancel(op));
  }

  /** Gives up everything that is under way. Further commands are refused with `ERR_CLOSED`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#pump.isRunning) this.#pump.tell((port) => port.close());
    this.#pump.close();
  }

  #settle(op: number): Operation<T> | undefined {
    const operation = this.#all.get(op);
    this.#all.delete(op);
    return operation;
  }
}
