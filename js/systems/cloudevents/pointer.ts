/** One value in JSON by its JSON Pointer (RFC 6901). */
import { mustBe } from "../../engine/messages.js";

/** A finder leaves the value to a walk through the parsed data. */
export const NOT_SEARCHED: unique symbol = Symbol();

/** Finds a value in JSON text that was checked before. `undefined` if there is none. */
export type PointerFinder = (text: string, pointer: string) => unknown;

let finder: PointerFinder | undefined;

/** Lets a module find values. The codecs have no code for it, so that they stay small. */
export function findPointersWith(other: PointerFinder): void {
  finder = other;
}

/** The value in a JSON text, without parsing the rest, if a module does that. */
export const findJson: PointerFinder = (text, pointer) => (finder ? finder(text, pointer) : NOT_SEARCHED);

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
