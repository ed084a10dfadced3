/** The content encodings of a body (RFC 9110 section 8.4): gzip and deflate, and what else the platform can inflate. */
import { FerryError } from "../../engine/errors.js";
import { formatValue } from "../../engine/messages.js";
import { concat } from "../../platform/bytes.js";

/** The names of content encodings and those of `DecompressionStream`. Not every platform has the last two. */
const FORMATS = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
  ["br", "brotli"],
  ["zstd", "zstd"],
]);
/** Each encoding may inflate a body up to the limit, so their number is limited as well. */
const MAX_ENCODINGS = 2;

/**
 * The bytes without their content encodings.
 *
 * @param header the value of `content-encoding`: names in the order in which they were applied
 * @param maxBytes the largest result, in bytes, of each step
 * @throws {FerryError} `ERR_UNSUPPORTED_FORMAT` for an encoding that the platform cannot undo, `ERR_TOO_LARGE` for a
 * larger result, `ERR_INVALID_EVENT` for bytes that do not have the encoding
 */
export async function inflate(bytes: Uint8Array, header: string, maxBytes: number): Promise<Uint8Array> {
  const names = header
    .toLowerCase()
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "" && name !== "identity");
  if (names.length > MAX_ENCODINGS) throw unsupported(header);
  let inflated = bytes;
  for (const name of names.reverse()) inflated = await inflateOne(inflated, name, maxBytes);
  return inflated;
}

async function inflateOne(bytes: Uint8Array, name: string, maxBytes: number): Promise<Uint8Array> {
  let stream: DecompressionStream;
  try {
    stream = new DecompressionStream(FORMATS.get(name) as CompressionFormat);
  } catch {
    throw unsupported(name);
  }
  const writer = stream.writable.getWriter();
  // Their failures are those of the reader below.
  writer.write(bytes as Uint8Array<ArrayBuffer>).catch(() => undefined);
  writer.close().catch(() => undefined);
  const reader = stream.readable.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      size += step.value.length;
      if (size > maxBytes)
        throw new FerryError("ERR_TOO_LARGE", `the inflated body is larger than the limit of ${maxBytes} bytes`);
      chunks.push(step.value);
    }
  } catch (error) {
    reader.cancel().catch(() => undefined);
    if (error instanceof FerryError) throw error;
    throw new FerryError("ERR_INVALID_EVENT", `the body does not have the content encoding ${formatValue(name)}`, {
      cause: error,
    });
  }
  return concat(chunks);
}

function unsupported(name: string): FerryError {
  return new FerryError("ERR_UNSUPPORTED_FORMAT", `the content encoding ${formatValue(name)} is not supported`);
}
