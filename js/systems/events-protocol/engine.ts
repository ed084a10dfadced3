/**
 * The two steps of `src/events_protocol/server.rs`. Each is one call, and nothing stays in the engine between them.
 *
 * ```text
 *   body ──accept──> texts of the members, or the number of a fault
 *   subject, outcome, texts ──settle──> body of the answer
 * ```
 */
import { call, engine, fullGlue, putBytes, putText } from "../../engine/instance.js";

/** How much of an event has to be there, in the order of `RULES` in `src/wasm/events_protocol.rs`. */
export const enum EnvelopeRule {
  Usual,
  Strict,
  Lenient,
  Response,
}

/** How a request ended, by the numbers of `outcome_of` in `src/wasm/events_protocol.rs`. A fault is added to `Malformed`. */
export const enum RequestOutcome {
  /** payload */
  Payload,
  /** payload, identity, metadata */
  Response,
  /** suffix, code, parameters */
  Exception,
  /** fields */
  InvalidPayload,
  /** parameters */
  UnhandledError,
  /** milliseconds */
  TimedOut,
  TooManyEvents,
  NoHandler,
  InvalidEvent,
}

/** Faults that are found outside of the engine, in the order of `FAULTS` there. */
export const enum ReadError {
  NotUtf8 = 2,
  TooLarge = 5,
}

/** The members of an event: the first four as values, the others as JSON text. What was missing is not there. */
export interface Members {
  name: string;
  version: number;
  id?: string;
  flowId?: string;
  payload?: string;
  identity?: string;
  auth?: string;
  metadata?: string;
}

/** What an answer is about. */
export interface EventRef {
  readonly name: string;
  readonly version: number;
  readonly id: string;
  readonly flowId: string;
}

const MEMBERS = ["name", "version", "id", "flowId", "payload", "identity", "auth", "metadata"] as const;
/** U+001E stands nowhere in JSON text. */
const SEPARATOR = "\x1e";
const BYTE_ORDER_MARK = 0xfeff;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads an event, or says by its number what is wrong with the text. */
export function readEvent(body: string | Uint8Array, rule: EnvelopeRule): Members | number {
  const glue = fullGlue();
  let text: string | undefined;
  let len: number;
  if (typeof body === "string") {
    text = body.charCodeAt(0) === BYTE_ORDER_MARK ? body.slice(1) : body;
    len = putText(text);
    if (len < 0) return ReadError.NotUtf8;
  } else {
    if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) body = body.subarray(3);
    len = putBytes(body);
  }
  const fault = call(() => glue.events_read(len, rule));
  if (fault !== 0) return fault;
  text ??= decoder.decode(body as Uint8Array);
  const { codecs } = engine();
  const places = new Uint32Array(codecs.memory.buffer, codecs.scratch(), MEMBERS.length * 3);
  const found: Partial<Record<(typeof MEMBERS)[number], string>> = {};
  MEMBERS.forEach((name, at) => {
    const how = places[at * 3 + 2];
    if (!how) return;
    const piece = text.slice(places[at * 3], places[at * 3 + 1]);
    const isValue = at < 4;
    // Strings stand without their quotes in the table.
    found[name] =
      how === 3 || (isValue && how === 1) ? piece : isValue ? (JSON.parse(`"${piece}"`) as string) : `"${piece}"`;
  });
  return { ...found, version: Number(found.version) } as Members;
}

/** Writes the answer. `pieces` are what the outcome needs, as JSON text. */
export function writeResponse(
  { name, version, id, flowId }: EventRef,
  outcome: number,
  ...pieces: string[]
): Uint8Array<ArrayBuffer> {
  const glue = fullGlue();
  const len = putText(
    [jsonStringContent(name), version, jsonStringContent(id), jsonStringContent(flowId), ...pieces].join(SEPARATOR),
  );
  return call(() => glue.events_respond(len, outcome));
}

/** Text as it stands between quotes in JSON. */
function jsonStringContent(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
