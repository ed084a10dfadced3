/** One value in JSON by its JSON Pointer (RFC 6901). */
import { mustBe } from "../../engine/messages.js";
import type { Payload } from "./event-fields.js";
import type { LenientReader } from "./lenient.js";

/** A module that finds values. The codecs have no code for it, so that they stay small. */
export interface PointerFinder {
  /** Decodes an event, as `scanText` does, and keeps its text in memory. */
  decode(text: string, lenient: LenientReader | undefined): object;
  /**
   * A value in the data of an event, which were not read before.
   *
   * @param received the text or the bytes that the event arrived as
   */
  find(event: Payload & { readonly data: unknown }, pointer: string, received: unknown): unknown;
}

/** Undefined until the first `Filter` is made. */
let finder: PointerFinder | undefined;

export const pointerFinder = (): PointerFinder | undefined => finder;

/** From now on a module finds values. It decodes events of text too, so that it need not be given their data again. */
export function findPointersWith(other: PointerFinder): void {
  finder = other;
}

/** The pointer that was checked last. A program has few of them. */
let checked = "";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for text that is no JSON Pointer. */
export function checkPointer(pointer: unknown): void {
  if (pointer === checked) return;
  if (typeof pointer !== "string" || !/^(?:\/(?:[^~/]|~[01])*)*$/.test(pointer))
    throw mustBe("pointer", 'a JSON Pointer, such as "/order/total"', pointer);
  checked = pointer;
}

/** The value in a parsed one. */
export function walk(value: unknown, pointer: string): unknown {
  for (const token of pointer.split("/").slice(1)) {
    if (typeof value !== "object" || value === null) return undefined;
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(value) && !/^(?:0|[1-9]\d*)$/.test(name)) return undefined;
    if (!Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
