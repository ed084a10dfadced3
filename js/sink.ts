/**
 * Where a machine's outputs go while it is drained. Nothing is done here: a machine is locked as long as it
 * talks, so what it says is written down and acted on when it has finished.
 */
export type Output =
  | { kind: "send"; id: number; url: string; headers: string; body: Uint8Array; patienceMs: number }
  | { kind: "cancel"; id: number }
  | { kind: "delivered"; op: number; status: number; attempts: number }
  | { kind: "failed"; op: number; code: number; status: number; message: string }
  | { kind: "wait"; at: number };

/** Called by `src/wasm/port.rs`, by these names. */
export class Sink {
  #outputs: Output[] = [];

  send(id: number, url: string, headers: string, body: Uint8Array, patienceMs: number): void {
    this.#outputs.push({ kind: "send", id, url, headers, body, patienceMs });
  }

  cancel(id: number): void {
    this.#outputs.push({ kind: "cancel", id });
  }

  delivered(op: number, status: number, attempts: number): void {
    this.#outputs.push({ kind: "delivered", op, status, attempts });
  }

  failed(op: number, code: number, status: number, message: string): void {
    this.#outputs.push({ kind: "failed", op, code, status, message });
  }

  wait(at: number): void {
    this.#outputs.push({ kind: "wait", at });
  }

  /** What was said since the last time. */
  take(): Output[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }
}
