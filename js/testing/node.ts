/**
 * Serves a fetch handler with `node:http`, which Node, Deno and Bun have. The module is imported only when it is needed,
 * in a way that bundlers do not follow, so this file also loads in browsers and workers.
 *
 * Bodies stream in both directions with backpressure. When the handler rejects, the socket is destroyed.
 * Each connection serves one request: when a kept connection breaks, browsers silently send the request again, even a
 * POST, and a fault would hit the wrong one. A response whose body may fail has `connection: keep-alive`, because
 * without it Node's own fetch takes half a body for a complete one.
 */
import { FerryError } from "../engine/errors.js";

/** A listening server. */
export interface Listening {
  /** `http://127.0.0.1:<port>`, without a trailing slash. */
  readonly url: string;
  /** Breaks all connections, including those that hang or stream, and resolves when the port is free. */
  close(): Promise<void>;
}

/** The used part of `node:http`. */
interface NodeHttpModule {
  createServer(options: { maxHeaderSize: number }, handler: (incoming: Incoming, outgoing: Outgoing) => void): Server;
}
interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown;
  off(event: string, listener: (...args: never[]) => void): unknown;
}
interface Socket extends Emitter {
  destroy(): void;
  /** Closes with RST instead of FIN, since Node 18.3. */
  resetAndDestroy?(): void;
}
interface Incoming extends Emitter {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  /** Whether the whole body has been received. */
  readonly complete: boolean;
  pause(): void;
  resume(): void;
}
interface Outgoing extends Emitter {
  readonly socket: Socket | null;
  readonly writableFinished: boolean;
  readonly destroyed: boolean;
  statusMessage: string;
  statusCode: number;
  setHeader(name: string, value: string | readonly string[]): void;
  flushHeaders(): void;
  write(chunk: Uint8Array, done?: () => void): boolean;
  end(): void;
}
interface Server extends Emitter {
  listen(port: number, host: string): void;
  address(): { port: number };
  close(done: () => void): void;
  closeAllConnections?(): void;
}

const HOST = "127.0.0.1";

/** Serves `handler` on loopback until it is closed. */
export async function listenWithNode(
  port: number,
  maxHeaderBytes: number,
  handler: (request: Request) => Promise<Response>,
): Promise<Listening> {
  const http = await importNodeHttp();
  const open = new Set<Exchange>();
  const sockets = new Set<Socket>();
  let origin = "";
  const server = http.createServer({ maxHeaderSize: maxHeaderBytes }, (incoming, outgoing) => {
    const exchange = new Exchange(incoming, outgoing);
    open.add(exchange);
    void exchange.run(origin, handler).finally(() => open.delete(exchange));
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    const onError = (cause: Error) =>
      reject(new FerryError("ERR_INVALID_ARGUMENT", `cannot listen on ${HOST}:${port}: ${cause.message}`, { cause }));
    server.once("error", onError);
    server.once("listening", () => {
      server.off("error", onError);
      resolve();
    });
    server.listen(port, HOST);
  });
  origin = `http://${HOST}:${server.address().port}`;

  let closing: Promise<void> | undefined;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const exchange of open) exchange.abort();
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections?.();
    });
  return {
    url: origin,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

async function importNodeHttp(): Promise<NodeHttpModule> {
  const name = ["node", "http"].join(":");
  // Browsers would log an error before they reject the import.
  if (!("process" in globalThis || "Deno" in globalThis || "Bun" in globalThis)) throw noHttpServer();
  try {
    const { createServer } = await import(/* webpackIgnore: true */ /* @vite-ignore */ name);
    if (typeof createServer === "function") return { createServer };
  } catch (cause) {
    throw noHttpServer(cause);
  }
  throw noHttpServer();
}

function noHttpServer(cause?: unknown): FerryError {
  return new FerryError(
    "ERR_INVALID_ARGUMENT",
    "listen needs node:http, which this runtime lacks; pass requests to emulator.fetch instead",
    cause === undefined ? {} : { cause },
  );
}

/** One request and its response. */
class Exchange {
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #aborter = new AbortController();
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(incoming: Incoming, outgoing: Outgoing) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    outgoing.on("error", () => undefined); // "close" follows and is handled below
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) this.abort();
    });
  }

  /** Aborts the handler: the client has left, or the server closes. */
  abort(): void {
    if (this.#aborter.signal.aborted) return;
    this.#aborter.abort();
    void this.#reader?.cancel().catch(() => undefined);
  }

  /** Never rejects. */
  async run(origin: string, handler: (request: Request) => Promise<Response>): Promise<void> {
    let request: Request;
    try {
      request = this.#toRequest(origin);
    } catch {
      // TRACE and CONNECT, which fetch does not support, and request targets that are no URL.
      await this.#send(new Response("a Request cannot represent this method or target\n", { status: 400 }));
      return;
    }
    let answer: Response;
    try {
      answer = await handler(request);
    } catch {
      const { socket } = this.#outgoing;
      if (socket?.resetAndDestroy) socket.resetAndDestroy();
      else socket?.destroy();
      return;
    }
    await this.#send(answer);
  }

  #toRequest(origin: string): Request {
    const { method, url, rawHeaders } = this.#incoming;
    // Raw headers: one entry for each line, bytes as Latin-1. Headers joins repeated names.
    const headers = new Headers();
    for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at]!, rawHeaders[at + 1]!);
    const hasBody =
      method !== "GET" && method !== "HEAD" && (headers.has("content-length") || headers.has("transfer-encoding"));
    const init = {
      method,
      headers,
      signal: this.#aborter.signal,
      body: hasBody ? bodyStream(this.#incoming) : null,
      duplex: "half",
    };
    return new Request(url.startsWith("/") ? origin + url : new URL(url, origin), init);
  }

  async #send(answer: Response): Promise<void> {
    const outgoing = this.#outgoing;
    outgoing.statusCode = answer.status;
    outgoing.statusMessage = answer.statusText;
    for (const [name, value] of answer.headers) if (name !== "set-cookie") outgoing.setHeader(name, value);
    const cookies = answer.headers.getSetCookie();
    if (cookies.length > 0) outgoing.setHeader("set-cookie", cookies);
    // While the request body is still arriving, closing would break the connection before the response is read.
    if (this.#incoming.complete && !answer.headers.has("connection")) outgoing.setHeader("connection", "close");
    if (answer.body === null || this.#incoming.method === "HEAD") {
      await answer.body?.cancel();
      return outgoing.end();
    }
    outgoing.flushHeaders();
    const reader = answer.body.getReader();
    this.#reader = reader;
    if (this.#aborter.signal.aborted) return reader.cancel().catch(() => undefined);
    try {
      for (let step = await reader.read(); !step.done; step = await reader.read()) await this.#write(step.value);
    } catch {
      // Earlier chunks have been sent, because each write waits for the socket.
      outgoing.socket?.destroy();
      return;
    }
    if (!outgoing.destroyed) outgoing.end();
  }

  /** Resolves when the socket has taken the bytes or is closed. */
  #write(chunk: Uint8Array): Promise<void> {
    const outgoing = this.#outgoing;
    return new Promise((resolve) => {
      if (outgoing.destroyed) return resolve();
      const done = () => {
        outgoing.off("close", done);
        resolve();
      };
      outgoing.once("close", done);
      outgoing.write(chunk, done);
    });
  }
}

/** The request body as a stream. After a cancel, the remaining bytes are read and dropped so that the response can be sent. */
function bodyStream(incoming: Incoming): ReadableStream<Uint8Array> {
  let isOver = false;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        incoming.pause();
        incoming.on("data", (chunk: Uint8Array) => {
          if (isOver) return;
          controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
          if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
        });
        incoming.once("end", () => {
          if (!isOver) controller.close();
          isOver = true;
        });
        const broken = () => {
          if (!isOver) controller.error(new TypeError("the request was aborted by the client"));
          isOver = true;
        };
        incoming.once("error", broken);
        incoming.once("close", broken);
      },
      pull: () => incoming.resume(),
      cancel() {
        isOver = true;
        incoming.resume();
      },
    },
    { highWaterMark: 0 },
  );
}
