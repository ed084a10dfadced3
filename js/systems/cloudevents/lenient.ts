/**
 * Lenient reading: attributes that are not valid are left off the event and kept beside it. Only the strict reader decides
 * what an event is. After it has rejected a message, the attributes are checked one by one here, and what is left is given
 * to the strict reader again.
 *
 * ```text
 *   message ── strict reader ──> event
 *                   │ rejected
 *                   └──> attributes, one by one ──> problems, which the option may mend ──> strict reader ──> event | error
 * ```
 */
import { FerryError, REASONS } from "../../engine/errors.js";
import { formatValue, mustBe } from "../../engine/messages.js";
import { checkName, Format, toExtensionValue, validText } from "./attribute.js";
import type { Problem } from "./event-fields.js";
import { decodeHeader, encodeHeader } from "./headers.js";
import { isJson } from "./media-type.js";
import { membersOf, type RawMember } from "./json-split.js";
import { TextDecoder } from "../../platform/text.js";

/**
 * `true` leaves attributes off that are not valid. A function is called for each of them: it returns the attribute that
 * shall stand for it (`name` and `value` default to those that arrived), or `undefined` to leave it off.
 */
export type Lenient =
  | boolean
  | ((problem: Problem) =>
      | {
          /** The name of the attribute. @default the name that arrived */
          name?: string | undefined;
          /** The value of the attribute. @default the value that arrived */
          value?: unknown;
        }
      | undefined);

/** How strictly a message is read. */
export interface LenientOptions {
  /**
   * Reads events of senders that do not follow the specification: an optional or extension attribute that is not valid is
   * left off the event and kept in `event.problems`, and an event in the JSON format is also read without the media type
   * of one. `id`, `source`, `type`, `specversion` and `data` must be valid all the same.
   * @default false: such an event is rejected
   */
  lenient?: Lenient | undefined;
}

/** An attribute of a message that was rejected. */
interface Attribute {
  name: string;
  value: unknown;
  /** The JSON text of the value, if it is from the JSON format. */
  json?: string;
  /** Why it could not be read, if it is from a header. */
  reason?: string;
}

/** An attribute that stands for one that was not valid. */
interface Mended {
  name: string;
  value: unknown;
}

/**
 * Reads what the strict reader has rejected. Readers get it from the functions that have the option, so only these bring
 * its code.
 */
export interface LenientReader {
  /**
   * An event in the JSON format without the attributes that are not valid. `undefined` if there are none, or if the text
   * is not an object; then the strict error stands.
   */
  siftJson(source: string | Uint8Array): { text: string; problems: readonly Problem[] } | undefined;
  /**
   * The `ce-` headers and the media type of a message in binary mode without those that are not valid. `undefined` if all
   * are valid.
   */
  siftHeaders(pairs: Iterable<readonly [string, string]>): SiftedHeaders | undefined;
  /**
   * The content mode of a message that has neither `ce-` headers nor the media type of a CloudEvent, but may be one: some
   * senders write `application/json`, or no media type, above an event in the JSON format.
   */
  unlabelledMode(headers: Labels, body: string | Uint8Array | undefined): "structured" | "batch" | undefined;
}

/** The headers that say that a message is an event. */
type Labels = Partial<Record<"contentType" | "version" | "id" | "source" | "type", string | undefined>>;

interface SiftedHeaders {
  headers: [name: string, value: string][];
  problems: readonly Problem[];
}

/** The reader that the option asks for. @throws {FerryError} `ERR_INVALID_ARGUMENT` for another type. */
export function checkLenient({ lenient }: LenientOptions): LenientReader | undefined {
  if (lenient !== undefined && typeof lenient !== "boolean" && typeof lenient !== "function")
    throw mustBe("lenient", "a boolean or a function", lenient);
  if (!lenient) return undefined;
  return {
    siftJson: (source) => siftJson(source, lenient),
    siftHeaders: (pairs) => siftHeaders(pairs, lenient),
    unlabelledMode,
  };
}

/** The error for a strict reader's caller: it says that `lenient` exists, if that helps. */
export function adviseLenient(error: FerryError): FerryError {
  const { code, message, attribute, culprit } = error;
  const isOptional =
    attribute !== undefined && /ATTRIBUTE_|HEADER_/.test(code) && !REQUIRED_NAMES.has(attribute) && culprit === "peer";
  if (!isOptional) return error;
  return new FerryError(code, `${message}; the option lenient leaves such an attribute off`, { attribute });
}

/** Members that nothing stands for, and that only the strict reader checks. */
const REQUIRED_NAMES = new Set(["specversion", "id", "source", "type", "data", "data_base64"]);

function isRequired(name: string, isV1: boolean): boolean {
  return REQUIRED_NAMES.has(name) || (name === "datacontentencoding" && !isV1);
}

/** As many as extension attributes. */
const MAX_PROBLEMS = 128;

function siftJson(source: string | Uint8Array, lenient: Lenient): ReturnType<LenientReader["siftJson"]> {
  let members: (RawMember & Attribute)[];
  try {
    const text = typeof source === "string" ? source : new TextDecoder("utf-8", { fatal: true }).decode(source);
    members = membersOf(text)!.map((member) => readMember(member));
  } catch {
    return undefined;
  }
  const isV1 = members.find(({ name }) => name === "specversion")?.value !== "0.3";
  const { kept, mended, problems } = sift(members, isV1, lenient);
  if (kept.length === members.length) return undefined;
  const texts = kept.map(({ text }) => text);
  for (const { name, value } of mended) texts.push(`"${name}":${JSON.stringify(value)}`);
  return { text: `{${texts.join(",")}}`, problems };
}

/** Parses a member. The payload may be large, and is not needed. */
function readMember({ text, name, value }: RawMember): RawMember & Attribute {
  const parsedName: string = JSON.parse(name);
  const isPayload = parsedName === "data" || parsedName === "data_base64";
  return { text, name: parsedName, value: isPayload ? undefined : JSON.parse(value), json: value };
}

function siftHeaders(pairs: Iterable<readonly [string, string]>, lenient: Lenient): SiftedHeaders | undefined {
  const attributes: Attribute[] = [];
  for (const [header, value] of pairs) {
    if (header === "content-type") attributes.push({ name: "datacontenttype", value });
    else if (header.startsWith("ce-") && header !== "ce-datacontenttype")
      attributes.push(decodeAttribute(header.slice(3), value));
  }
  const isV1 = attributes.find(({ name }) => name === "specversion")?.value !== "0.3";
  const { kept, mended, problems } = sift(attributes, isV1, lenient);
  if (kept.length === attributes.length) return undefined;
  const headers = [...kept, ...mended].map(({ name, value }): [string, string] =>
    name === "datacontenttype" ? ["content-type", String(value)] : [`ce-${name}`, encodeHeader(String(value))],
  );
  return { headers, problems };
}

function decodeAttribute(name: string, value: string): Attribute {
  try {
    return { name, value: decodeHeader(name, value) };
  } catch (error) {
    return { name, value, reason: (error as Error).message };
  }
}

/** Checks each attribute, and asks for another one in the place of each that is not valid. */
function sift<A extends Attribute>(attributes: readonly A[], isV1: boolean, lenient: Lenient) {
  const kept: A[] = [];
  const found: Problem[] = [];
  const names = new Set<string>();
  for (const attribute of attributes) {
    const { name, value } = attribute;
    const reason = isRequired(name, isV1) ? undefined : reasonAgainst(attribute, names, isV1);
    if (reason === undefined) {
      if (value !== null) names.add(name);
      kept.push(attribute);
    } else {
      found.push(Object.freeze({ name, value, reason }));
      if (found.length > MAX_PROBLEMS)
        throw new FerryError("ERR_TOO_LARGE", `the event has more than ${MAX_PROBLEMS} attributes that are not valid`);
    }
  }
  const mended: Mended[] = [];
  const problems: Problem[] = [];
  for (const problem of found) {
    const result = typeof lenient === "function" ? lenient(problem) : undefined;
    if (result === undefined || result === null) {
      problems.push(problem);
      continue;
    }
    const { name = problem.name, value: given = problem.value } = result;
    const value = given instanceof Date && !Number.isNaN(given.getTime()) ? given.toISOString() : given;
    const reason =
      value === null || isRequired(name, isV1)
        ? `the attribute ${formatValue(name)} cannot stand for another one`
        : reasonAgainst({ name, value }, names, isV1);
    if (reason !== undefined) {
      problems.push(problem, Object.freeze({ name, value, reason }));
      continue;
    }
    names.add(name);
    mended.push({ name, value: typeof value === "object" ? toExtensionValue(name, value, !isV1) : value });
  }
  return { kept, mended, problems: Object.freeze(problems) };
}

/** Why an attribute is not valid; `undefined` if it is. */
function reasonAgainst(
  { name, value, json, reason }: Attribute,
  names: ReadonlySet<string>,
  isV1: boolean,
): string | undefined {
  if (reason !== undefined) return reason;
  if (names.has(name)) return `the attribute ${formatValue(name)} ${REASONS[10]}`;
  try {
    checkAttribute(name, value, json, isV1);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function checkAttribute(name: string, value: unknown, json: string | undefined, isV1: boolean): void {
  if (value === null) return;
  switch (name) {
    case "time":
      validText(name, value, Format.Timestamp);
      return;
    case "subject":
      validText(name, value, Format.Text);
      return;
    case "datacontenttype":
      validText(name, value, Format.MediaType);
      return;
    case isV1 ? "dataschema" : "schemaurl":
      validText(name, value, isV1 ? Format.Uri : Format.UriReference, !isV1);
      return;
    default:
      checkName(name);
      // 5.0 and 1e3 are not integers as the JSON format writes them.
      toExtensionValue(
        name,
        typeof value === "number" && json !== undefined && !/^-?\d+$/.test(json) ? NaN : value,
        !isV1,
      );
  }
}

function unlabelledMode(
  { contentType, version, id, source, type }: Labels,
  body: string | Uint8Array | undefined,
): "structured" | "batch" | undefined {
  const hasHeaders = version !== undefined || id !== undefined || source !== undefined || type !== undefined;
  if (hasHeaders || body === undefined || (contentType !== undefined && !isJson(contentType.trim()))) return undefined;
  const start = typeof body === "string" ? body.slice(0, 64) : new TextDecoder().decode(body.subarray(0, 64));
  // A TextDecoder drops a byte order mark, and white space includes it in a string.
  const first = start.trimStart()[0];
  return first === "{" ? "structured" : first === "[" ? "batch" : undefined;
}
