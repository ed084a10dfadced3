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
import { Exchange } from "../platform/node-exchange.js";
import type { Emitter, Incoming, Outgoing, Socket } from "../platform/node-http.js";

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
    const exchange = new Exchange(incoming, outgoing, { origin, closesConnection: true, onFailure: breakConnection });
    open.add(exchange);
    void exchange.run(handler).finally(() => open.delete(exchange));
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
    // Without `import()` where that can be, because Jest has none in CommonJS.
    const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
    const loaded = process?.getBuiltinModule?.(name) as NodeHttpModule | undefined;
    if (loaded) return loaded;
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
    { cause },
  );
}

function breakConnection(_error: unknown, { socket }: Outgoing): void {
  if (socket?.resetAndDestroy) socket.resetAndDestroy();
  else socket?.destroy();
}
