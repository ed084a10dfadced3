/** One request of `node:http` and its response, for a handler of `fetch`. Both bodies stream with backpressure. */
import { startIdleTimer, stopTimer } from "./clock.js";
import { type FetchRequest, type Incoming, type Outgoing, type RequestParts, toFetchRequest } from "./node-http.js";

/** How a request is handled. */
export interface ExchangeOptions extends RequestParts {
  /** Whether the connection serves this request only. */
  closesConnection: boolean;
  /** The handler has thrown, or what it returned cannot be sent. */
  onFailure(error: unknown, outgoing: Outgoing): void;
}

/** How long the remainder of a body may take after the response, in milliseconds. */
const DISCARD_TIMEOUT_MS = 5000;

/** One request and its response. */
export class Exchange {
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #options: ExchangeOptions;
  readonly #aborter = new AbortController();
  #fetched: FetchRequest | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(incoming: Incoming, outgoing: Outgoing, options: ExchangeOptions) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#options = options;
    outgoing.on("error", () => undefined); // "close" follows and is handled below
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) this.abort();
    });
    outgoing.once("finish", () => this.#dropBody());
    if (outgoing.destroyed) this.abort();
  }

  /** Aborts the handler: the client has left, or the server closes. */
  abort(): void {
    if (this.#aborter.signal.aborted) return;
    this.#aborter.abort();
    void this.#reader?.cancel().catch(() => undefined);
  }

  /** Never rejects. */
  async run(handler: (request: Request) => Response | Promise<Response>): Promise<void> {
    try {
      this.#fetched = toFetchRequest(this.#incoming, this.#options, this.#aborter.signal);
    } catch {
      // TRACE and CONNECT, which fetch does not support, and request targets that are no URL.
      return this.#respond(() => new Response("a Request cannot represent this method or target\n", { status: 400 }));
    }
    const { request } = this.#fetched;
    await this.#respond(() => handler(request));
  }

  async #respond(respond: () => Response | Promise<Response>): Promise<void> {
    try {
      await this.#send(await respond());
    } catch (error) {
      // Frameworks answer only after the body has been read.
      this.#fetched?.discard();
      this.#options.onFailure(error, this.#outgoing);
    }
  }

  async #send(answer: Response): Promise<void> {
    const outgoing = this.#outgoing;
    outgoing.statusCode = answer.status;
    // HTTP/2 has none, and warns.
    if (answer.statusText) outgoing.statusMessage = answer.statusText;
    for (const [name, value] of answer.headers) if (name !== "set-cookie") outgoing.setHeader(name, value);
    const cookies = answer.headers.getSetCookie();
    if (cookies.length > 0) outgoing.setHeader("set-cookie", cookies);
    // While the request body is still arriving, closing would break the connection before the response is read.
    if (this.#options.closesConnection && this.#incoming.complete && !answer.headers.has("connection"))
      outgoing.setHeader("connection", "close");
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

  /** After the response. A body that never ends must not occupy the connection. */
  #dropBody(): void {
    const incoming = this.#incoming;
    this.#fetched?.discard();
    if (incoming.complete) return;
    const timer = startIdleTimer(() => incoming.socket?.destroy(), DISCARD_TIMEOUT_MS);
    const stop = () => stopTimer(timer);
    incoming.once("end", stop);
    incoming.once("close", stop);
  }
}
