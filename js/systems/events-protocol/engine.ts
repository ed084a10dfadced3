/**
 * The two steps of the engine for a server, see `src/events_protocol/server.rs`. Each is one call, and the engine keeps no
 * state between them.
 *
 * ```text
 *   body ──readEvent──> members, or the number of an error
 *   event, outcome, strings ──writeResponse──> body of the response
 * ```
 */
import type { Bytes } from "../../platform/bytes.js";
import { eventsProtocol } from "../../engine/modules/events-protocol.js";
import { TextDecoder } from "../../platform/text.js";

/** Which members must be present, in the order of `RULES` in `src/wasm/events_protocol.rs`. */
export const ENVELOPE_RULE = { usual: 0, strict: 1, lenient: 2, response: 3 } as const;
export type EnvelopeRule = (typeof ENVELOPE_RULE)[keyof typeof ENVELOPE_RULE];

/** How a request ended, by the numbers of `outcome_of` in `src/wasm/events_protocol.rs`, and the strings it needs. */
export const REQUEST_OUTCOME = {
  /** payload */
  payload: 0,
  /** payload, identity, metadata */
  response: 1,
  /** suffix, code, parameters */
  exception: 2,
  /** fields */
  invalidPayload: 3,
  /** parameters */
  unhandledError: 4,
  /** milliseconds */
  timedOut: 5,
  tooManyEvents: 6,
  noHandler: 7,
  /** The number of a `READ_ERROR` is added. */
  invalidEvent: 8,
} as const;

/** Errors that are found outside of the engine, by their place in `READ_ERRORS` there. */
export const READ_ERROR = { notJson: 1, notUtf8: 2, tooLarge: 5 } as const;

/** The members of an event: the first four as values, the others as JSON text. Missing members are absent. */
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

/** Identifies the event that is answered. */
export interface EventRef {
  readonly name: string;
  readonly version: number;
  readonly id: string;
  readonly flowId: string;
}

const MEMBERS = ["name", "version", "id", "flowId", "payload", "identity", "auth", "metadata"] as const;
/** U+001E never occurs in JSON text. */
const SEPARATOR = "\x1e";
const BYTE_ORDER_MARK = 0xfeff;
/** How a member is written, see `write_positions` in `src/wasm/events_protocol.rs`. */
const FORMAT = { missing: 0, string: 1, escapedString: 2, json: 3 } as const;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads an event. Returns its members, or the number of an error. */
export function readEvent(body: string | Uint8Array, rule: EnvelopeRule): Members | number {
  const { glue } = eventsProtocol;
  let text: string | undefined;
  let length: number;
  if (typeof body === "string") {
    text = body.charCodeAt(0) === BYTE_ORDER_MARK ? body.slice(1) : body;
    length = eventsProtocol.putText(text);
    if (length < 0) return READ_ERROR.notUtf8;
  } else {
    if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) body = body.subarray(3);
    length = eventsProtocol.putBytes(body);
  }
  const error = eventsProtocol.call(() => glue.events_read(length, rule));
  if (error !== 0) return error;
  text ??= decoder.decode(body as Uint8Array);
  const { exports } = eventsProtocol;
  const positions = new Uint32Array(exports.memory.buffer, exports.scratch(), MEMBERS.length * 3);
  const members: Partial<Record<(typeof MEMBERS)[number], string>> = {};
  for (const [index, name] of MEMBERS.entries()) {
    const format = positions[index * 3 + 2]!;
    if (format === FORMAT.missing) continue;
    // The positions of strings exclude their quotes.
    const raw = text.slice(positions[index * 3], positions[index * 3 + 1]);
    if (format === FORMAT.json) members[name] = raw;
    else if (index >= 4) members[name] = `"${raw}"`;
    else members[name] = format === FORMAT.string ? raw : (JSON.parse(`"${raw}"`) as string);
  }
  return { ...members, version: Number(members.version) } as Members;
}

/** Writes a response. `strings` are the strings that the outcome needs, as JSON text. */
export function writeResponse({ name, version, id, flowId }: EventRef, outcome: number, ...strings: string[]): Bytes {
  const { glue } = eventsProtocol;
  const head = [jsonStringContent(name), version, jsonStringContent(id), jsonStringContent(flowId)];
  const length = eventsProtocol.putText([...head, ...strings].join(SEPARATOR));
  return eventsProtocol.call(() => glue.events_respond(length, outcome));
}

/** A JSON string without its quotes. */
function jsonStringContent(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
