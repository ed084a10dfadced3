/**
 * Body sections of AMQP 1.0 as rhea has them. The binding puts data into a Data section (AMQP protocol binding 1.0.2,
 * section 3.1.2); rhea writes strings and bytes as an AmqpValue section.
 */
import { invalidArgument } from "../../engine/messages.js";
import { concat } from "../../platform/bytes.js";
import { asBuffer, asBytes, isBytes } from "./bytes.js";
import { TextEncoder } from "../../platform/text.js";

/** A body section that rhea has read. */
export interface AmqpSection {
  /** 0x75 is a Data section. */
  typecode: number;
  /** The bytes, or those of each section. */
  content: unknown;
  /** Whether there are several sections. */
  multiple?: boolean | undefined;
}

const DATA = 0x75;

// The types of AMQP that a Data section consists of, as the encoder of rhea takes them.
const FIXED_WIDTH = 1;
const VARIABLE_WIDTH = 2;
const SMALL_ULONG = {
  typecode: 0x53,
  width: 1,
  category: FIXED_WIDTH,
  write: (buffer: Uint8Array, value: number, offset: number): void => {
    buffer[offset] = value;
  },
};
const BINARY_32 = { typecode: 0xb0, width: 4, category: VARIABLE_WIDTH };

/** A Data section that rhea writes. */
export class DataSection implements AmqpSection {
  readonly typecode: number = DATA;
  readonly content: Uint8Array;
  readonly multiple = false;

  constructor(body: string | Uint8Array) {
    this.content = asBuffer(typeof body === "string" ? new TextEncoder().encode(body) : body);
  }

  /** Called by rhea: adds the section to those of the message. */
  collect_sections(sections: unknown[]): void {
    sections.push({ type: BINARY_32, value: this.content, descriptor: { type: SMALL_ULONG, value: DATA } });
  }
}

/**
 * The data of a body: of all its Data sections in order, or a string or bytes of an AmqpValue section.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for other sections, which carry no bytes.
 */
export function bodyOfAmqp(body: unknown): string | Uint8Array | null | undefined {
  if (body === undefined || body === null || typeof body === "string") return body;
  if (isBytes(body)) return asBytes(body);
  const { typecode, content } = body as Partial<AmqpSection>;
  const parts = Array.isArray(content) ? content : [content];
  if (typecode !== DATA || !parts.every(isBytes))
    throw invalidArgument("the body of an AMQP message must be a string, bytes or Data sections");
  return concat(parts.map(asBytes));
}
