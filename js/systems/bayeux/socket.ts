/**
 * WebSockets of a client. Their events become calls of a listener.
 *
 * gloo-net could open them in the wasm module instead. That adds 20 KB to the module (6.5 KB compressed), allows only
 * the global constructor (Node 20 has none; headers and tests need another), and leaves the socket open after a trap,
 * because the future that reads from it belongs to the engine instance.
 */

/** The part of a WebSocket that is used. */
export interface SocketLike {
  /** Sends a text frame. */
  send(text: string): void;
  /** Closes the connection. */
  close(code?: number, reason?: string): void;
  /** Listens to an event of the socket; `message` has the text in `data`. */
  // biome-ignore lint/suspicious/noExplicitAny: each WebSocket implementation has event types of its own
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: any) => void): void;
}

/** Creates a WebSocket for a ws or wss URL. */
export type SocketMaker = (url: string) => SocketLike;

export interface SocketListener {
  onOpen(id: number): void;
  /** `text` is empty for a binary frame. */
  onText(id: number, text: string): void;
  /** `cause` tells why the connection failed, if the platform says so. */
  onClose(id: number, code: number, cause: unknown): void;
}

/** Close code for a connection that broke without a close frame (RFC 6455, section 7.1.5). */
const ABNORMAL_CLOSURE = 1006;

/** The open sockets of one client: usually one. */
export class Sockets {
  readonly #makeSocket: SocketMaker;
  readonly #listener: SocketListener;
  #sockets = new Map<number, SocketLike>();

  constructor(makeSocket: SocketMaker, listener: SocketListener) {
    this.#makeSocket = makeSocket;
    this.#listener = listener;
  }

  open(id: number, url: string): void {
    const isOpen = () => this.#sockets.has(id);
    const onClose = (code: number, cause?: unknown) => {
      if (this.#sockets.delete(id)) this.#listener.onClose(id, code, cause);
    };
    try {
      const socket = this.#makeSocket(url);
      this.#sockets.set(id, socket);
      socket.addEventListener("open", () => isOpen() && this.#listener.onOpen(id));
      socket.addEventListener(
        "message",
        ({ data }: { data: unknown }) => isOpen() && this.#listener.onText(id, typeof data === "string" ? data : ""),
      );
      socket.addEventListener("close", (event: { code?: number }) => onClose(event.code ?? ABNORMAL_CLOSURE, event));
      // Browsers say nothing more; implementations for servers have the error of the connection.
      socket.addEventListener("error", (event: { error?: unknown }) =>
        onClose(ABNORMAL_CLOSURE, event?.error ?? event),
      );
    } catch (cause) {
      // The platform refuses the URL, or a policy forbids it. Treated as a connection that failed.
      this.#sockets.set(id, UNUSABLE_SOCKET);
      queueMicrotask(() => onClose(ABNORMAL_CLOSURE, cause));
    }
  }

  send(id: number, text: string): void {
    try {
      this.#sockets.get(id)?.send(text);
    } catch {
      // The socket is closing; its close event follows.
    }
  }

  /** Closes a socket; `onClose` is not called for it. */
  close(id: number): void {
    const socket = this.#sockets.get(id);
    this.#sockets.delete(id);
    try {
      socket?.close(1000);
    } catch {
      // Some implementations throw if the connection was never made.
    }
  }

  closeAll(): void {
    for (const id of [...this.#sockets.keys()]) this.close(id);
  }
}

const UNUSABLE_SOCKET: SocketLike = { send() {}, close() {}, addEventListener() {} };
