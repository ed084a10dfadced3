/** Reads the body of a Request or Response chunk by chunk. */

/** The part of a reader that is needed, of a stream of the platform or of Node. */
export interface BodyReader {
  read(): Promise<{ done?: boolean | undefined; value?: unknown }>;
  cancel(): Promise<unknown> | undefined;
}

/** That of node-fetch is a stream of Node, which is an async iterable and has no `getReader`. */
export function readerOf(body: ReadableStream<unknown>): BodyReader {
  if (typeof body.getReader === "function") return body.getReader();
  const stream = body as unknown as AsyncIterable<unknown> & { destroy?(): void };
  const chunks = stream[Symbol.asyncIterator]();
  return {
    read: () => chunks.next(),
    cancel() {
      // `return` alone would wait for the read in progress.
      stream.destroy?.();
      return chunks.return?.();
    },
  };
}
