/**
 * `CloudEvent.fromJSON`. The entry points give it to the class where they export it, see `js/build/entries.mjs`: it brings
 * lenient reading along, which an application that only gets events from others need not download.
 */
import { mustBe } from "../../engine/messages.js";
import { asBytes, isBytes } from "./bytes.js";
import { CloudEvent, scanBytes, scanText } from "./event.js";
import { stringifyData } from "./json-data.js";
import { checkLenient, type LenientOptions } from "./lenient.js";
import { pointerFinder } from "./pointer.js";

/** Gives the class its function `fromJSON`. Returns the class. */
export function withFromJson(eventClass: typeof CloudEvent): typeof CloudEvent {
  return Object.defineProperty(eventClass, "fromJSON", { value: fromJSON, configurable: true, writable: true });
}

function fromJSON<T>(json: string | Uint8Array | object, options?: LenientOptions): CloudEvent<T> {
  const lenient = options === undefined ? undefined : checkLenient(options);
  if (typeof json === "string") return (pointerFinder()?.decode ?? scanText)(json, lenient) as CloudEvent<T>;
  if (isBytes(json)) return scanBytes<T>(asBytes(json).slice(), lenient);
  const isText = typeof json !== "object" || json === null || "then" in json || "bodyUsed" in json;
  if (isText) throw mustBe("json", "a string, bytes or an object", json);
  return scanText<T>(json instanceof CloudEvent ? json.toString() : stringifyData(json), lenient);
}
