/** Requests of `node:http`, which Node, Deno and Bun have, as those of `fetch`. Bodies stream with backpressure. */

/** The used part of `node:http`, whose types a project need not have. */
export interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown;
  off(event: string, listener: (...args: never[]) => void): unknown;
}
export interface Socket extends Emitter {
  destroy(): void;
  /** Whether the connection is TLS. */
  readonly encrypted?: boolean;
  /** Closes with RST instead of FIN, since Node 18.3. */
  resetAndDestroy?(): void;
}
export interface Incoming extends Emitter {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  /** Whether the whole body has been received. */
  readonly complete: boolean;
  /** Whether it was closed; then no event follows. */
  readonly destroyed: boolean;
  readonly socket?: Socket | null;
  pause(): void;
  resume(): void;
}
export interface Outgoing extends Emitter {
  readonly socket: Socket | null;
  readonly writableEnded: boolean;
  readonly writableFinished: boolean;
  readonly headersSent: boolean;
  readonly destroyed: boolean;
  statusMessage: string;
  statusCode: number;
  setHeader(name: string, value: string | readonly string[]): void;
  flushHeaders(): void;
  write(chunk: Uint8Array, done?: () => void): boolean;
  end(): void;
}

/** What a request of `fetch` has beside what `node:http` tells. */
export interface RequestParts {
  /** What the target of the request is relative to. */
  origin: string;
  /** The target of the request. @default that of `node:http` */
  target?: string;
  /** The body, if it was read before. */
  body?: Uint8Array | undefined;
  /** Headers that do not apply to the body any more, in lower case. */
  omittedHeaders?: readonly string[] | undefined;
}

/** A request of `fetch`. */
export interface FetchRequest {
  readonly request: Request;
  /** Drops what has not been read of the body. */
  discard(): void;
}

/**
 * A request as one of `fetch`.
 *
 * @throws {TypeError} for a method that `fetch` does not support, and a target that is no URL.
 */
export function toFetchRequest(incoming: Incoming, parts: RequestParts, signal?: AbortSignal): FetchRequest {
  const { origin, body: readBefore, omittedHeaders = [] } = parts;
  const { method, rawHeaders } = incoming;
  const target = parts.target ?? incoming.url;
  // Raw headers: one entry for each line, bytes as Latin-1. Headers joins repeated names.
  const headers = new Headers();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    // HTTP/2 has the method and the target among the headers.
    if (!name.startsWith(":") && !omittedHeaders.includes(name.toLowerCase()))
      headers.append(name, rawHeaders[at + 1]!);
  }
  const canHaveBody = method !== "GET" && method !== "HEAD";
  const isUnread = readBefore === undefined && (headers.has("content-length") || headers.has("transfer-encoding"));
  const body = canHaveBody && isUnread ? new IncomingBody(incoming) : undefined;
  const init = {
    method,
    headers,
    signal: signal ?? null,
    body: canHaveBody ? (body?.stream ?? (readBefore as Uint8Array<ArrayBuffer> | undefined) ?? null) : null,
    duplex: "half",
  };
  const request = new Request(target.startsWith("/") ? origin + target : new URL(target, origin), init);
  return { request, discard: () => body?.discard() };
}

/** The body of a request. */
class IncomingBody {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #incoming: Incoming;
  #isOver = false;

  constructor(incoming: Incoming) {
    this.#incoming = incoming;
    const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      incoming.pause();
      incoming.on("data", (chunk: Uint8Array) => {
        if (this.#isOver) return;
        controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
      });
      incoming.once("end", () => this.#finish(() => controller.close()));
      const onBreak = () =>
        this.#finish(() => controller.error(new TypeError("the request was aborted by the client")));
      // Not only the first one: an error without a listener ends the process.
      incoming.on("error", onBreak);
      incoming.once("close", onBreak);
      // The client has left before a handler was called.
      if (incoming.destroyed) onBreak();
    };
    const source = { start, pull: () => incoming.resume(), cancel: () => this.discard() };
    this.stream = new ReadableStream<Uint8Array>(source, { highWaterMark: 0 });
  }

  /** Reads and drops the remaining bytes, because a client reads the response after it has sent all of them. */
  discard(): void {
    this.#isOver = true;
    this.#incoming.resume();
  }

  #finish(how: () => void): void {
    if (!this.#isOver) how();
    this.#isOver = true;
  }
}
