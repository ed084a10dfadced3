/**
 * Bodies that a framework has read before its handler is called:
 *
 * | body | taken |
 * |---|---|
 * | bytes, as of `express.raw`; also in `rawBody`, as on Cloud Functions | yes |
 * | text, as of `express.text` | if it has as many bytes as `Content-Length` says |
 * | a value of a JSON parser, as of `express.json` | if its JSON text has, and no number in it may have lost digits |
 */
import { invalidArgument } from "../../../engine/messages.js";
import { asBytes, isBytes } from "../bytes.js";

/** The used part of a request of `node:http`, Express or Fastify. */
export interface ReadRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** What the framework has parsed. */
  readonly body?: unknown;
  /** The bytes beside what was parsed. */
  readonly rawBody?: unknown;
}

/** A body and the headers that do not apply to it any more. */
export interface ReadBody {
  body: Uint8Array;
  omittedHeaders: string[];
}

const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/gs;
/** Digits that JavaScript may have rounded. */
const LONG_NUMBER = /\d[\d.]{15}/;

/**
 * The bytes of a body that was read before.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` if they cannot be restored.
 */
export function readBefore({ headers, body, rawBody }: ReadRequest): ReadBody {
  const isEncoded = !/^(?:identity)?$/i.test(String(headers["content-encoding"] ?? ""));
  const contentLength = headers["content-length"] === undefined ? undefined : Number(headers["content-length"]);
  const given = rawBody ?? body;
  if (isBytes(given)) {
    const bytes = asBytes(given);
    // Parsers undo the content encoding, but not all of them. Chunked bodies have no length to tell.
    const isDecoded = isEncoded && (contentLength === undefined ? !isGzip(bytes) : bytes.length !== contentLength);
    return { body: bytes, omittedHeaders: isDecoded ? ["content-encoding", "content-length"] : [] };
  }
  const text = typeof given === "string" ? given : jsonOf(given);
  if (text !== undefined && !isEncoded) {
    const bytes = new TextEncoder().encode(text);
    const isExact = typeof given === "string" || !LONG_NUMBER.test(text.replace(STRING, ""));
    if (bytes.length === contentLength && isExact) return { body: bytes, omittedHeaders: [] };
  }
  throw invalidArgument(
    given === undefined
      ? "the body of the request was read before; call the adapter before anything reads the body"
      : "the body of the request was parsed before, and its bytes cannot be restored; read it unparsed, " +
          'in Express with express.raw({ type: "*/*" }), in Fastify with addContentTypeParser and parseAs: "buffer"',
  );
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** The JSON text of what a parser has made, as most senders write it: without white space. */
function jsonOf(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}
