/**
 * WebSockets for the pump: their events become facts for the machine.
 *
 * They are opened here and not by gloo-net in the module: that costs 20 KB more of it (6.5 KB compressed), takes no other constructor than the
 * global one (Node 20 has none, headers need one, tests as well), and reads in a future inside the instance, which a trap would
 * leave behind with an open socket.
 */

/** As much of a WebSocket as is used. */
export interface SocketLike {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: any) => void): void;
}

/** Makes a WebSocket. */
export type SocketMaker = (url: string) => SocketLike;

export interface SocketListener {
  opened(id: number): void;
  /** Empty for what is not text. */
  text(id: number, text: string): void;
  closed(id: number, code: number): void;
}

/** The sockets of one client: one at a time, as a rule. */
export class Sockets {
  readonly #make: SocketMaker;
  readonly #listener: SocketListener;
  #all = new Map<number, SocketLike>();

  constructor(make: SocketMaker, listener: SocketListener) {
    this.#make = make;
    this.#listener = listener;
  }

  open(id: number, url: string): void {
    const isOurs = () => this.#all.has(id);
    const closed = (code: number) => {
      if (this.#all.delete(id)) this.#listener.closed(id, code);
    };
    try {
      const socket = this.#make(url);
      this.#all.set(id, socket);
      socket.addEventListener("open", () => isOurs() && this.#listener.opened(id));
      socket.addEventListener(
        "message",
        ({ data }: { data: unknown }) => isOurs() && this.#listener.text(id, typeof data === "string" ? data : ""),
      );
      socket.addEventListener("close", ({ code }: { code?: number }) => closed(code ?? 1006));
      socket.addEventListener("error", () => closed(1006));
    } catch {
      // A URL or a policy that the platform does not like: it is as if nobody answered.
      this.#all.set(id, NOBODY);
      queueMicrotask(() => closed(1006));
    }
  }

  send(id: number, text: string): void {
    try {
      this.#all.get(id)?.send(text);
    } catch {
      // It is closing; its event comes.
    }
  }

  close(id: number): void {
    const socket = this.#all.get(id);
    this.#all.delete(id);
    try {
      socket?.close(1000);
    } catch {
      // It was never opened.
    }
  }

  closeAll(): void {
    for (const id of [...this.#all.keys()]) this.close(id);
  }
}

const NOBODY: SocketLike = { send() {}, close() {}, addEventListener() {} };
