/** Decodes each event of a batch alone, so that one that is not valid does not concern the others. */
import { FerryError } from "../../engine/errors.js";
import { TextDecoder } from "../../platform/text.js";
import type { InvalidLine } from "./batch-lines.js";
import type { BatchFormat, OnInvalid, RejectedEvent } from "./batch-options.js";
import { type CloudEvent, scanBytes, scanText } from "./event.js";
import type { LenientReader } from "./lenient.js";
import { splitJson, splitLines } from "./json-split.js";
import { mixedVersions } from "./table.js";

/** What a batch that is decoded event by event has. */
export interface DecodedEvents {
  readonly events: readonly CloudEvent[];
  readonly rejected: readonly RejectedEvent[];
}

/**
 * Decodes the events of a text or of bytes.
 *
 * @param error the reason why the whole was rejected, to throw if it is no array
 */
export function scanEach(
  source: string | Uint8Array,
  format: BatchFormat,
  { lenient, onInvalid = "reject" }: { lenient?: LenientReader | undefined; onInvalid?: OnInvalid | undefined },
  error: FerryError | undefined,
  firstIndex: number,
): DecodedEvents {
  // In ISO-8859-1 each byte is one character, so positions in this text are positions of bytes.
  const text = typeof source === "string" ? source : new TextDecoder("latin1").decode(source);
  const parts = format === "batch" ? splitJson(text, "[") : splitLines(text);
  if (!parts) throw error;
  const slice = (index: number) => source.slice(...parts[index]!);
  let version: string | undefined;
  const decode = (index: number) => {
    const part = slice(index);
    const event = typeof part === "string" ? scanText(part, lenient) : scanBytes(part, lenient);
    version ??= event.specversion;
    if (format === "batch" && event.specversion !== version) throw mixedVersions(firstIndex + index);
    return event;
  };
  return decodeEach(parts.length, decode, (index) => textOf(slice(index)), onInvalid, firstIndex);
}

/**
 * Decodes events one by one.
 *
 * @param textAt the event at an index as it arrived, for what is told of invalid ones
 */
export function decodeEach(
  count: number,
  decode: (index: number) => CloudEvent,
  textAt: (index: number) => string,
  onInvalid: OnInvalid,
  firstIndex = 0,
): DecodedEvents {
  const events: CloudEvent[] = [];
  const rejected: RejectedEvent[] = [];
  for (let place = 0; place < count; place++) {
    const index = firstIndex + place;
    try {
      events.push(decode(place));
    } catch (error) {
      if (!(error instanceof FerryError)) throw error;
      if (onInvalid === "reject") throw inBatch(error, index);
      const rejection = { index, error, text: textAt(place).trim() };
      rejected.push(Object.freeze(rejection));
      if (typeof onInvalid === "function") onInvalid(error, rejection.text, index);
    }
  }
  return { events, rejected: Object.freeze(rejected) };
}

/** A line that was left out, with the error of decoding it alone. */
export function rejectedLine(source: string | Uint8Array, { start, end, index }: InvalidLine): RejectedEvent {
  const line = source.slice(start, end);
  const text = textOf(line).trim();
  try {
    if (typeof line === "string") scanText(line);
    else scanBytes(line);
  } catch (error) {
    if (error instanceof FerryError) return Object.freeze({ index, error, text });
    throw error;
  }
  // The scan of all lines has rejected it.
  throw new FerryError("ERR_INTERNAL");
}

/** The error of an event in a batch, with its index. */
function inBatch(error: FerryError, index: number): FerryError {
  const { code, message, attribute } = error;
  return new FerryError(code, `event ${index} of the batch: ${message}`, { attribute });
}

function textOf(part: string | Uint8Array): string {
  return typeof part === "string" ? part : new TextDecoder().decode(part);
}
