/** Scans an event in the JSON format that was rejected, without the attributes that are not valid. */
import { codecs } from "../../engine/modules/codecs.js";
import type { FerryError } from "../../engine/errors.js";
import type { Problem } from "./event-fields.js";
import { adviseLenient, type LenientReader } from "./lenient.js";
import { rejected } from "./table.js";

/**
 * The text that was scanned at last, which the table of the engine describes, and what was left off.
 *
 * @param error why the event was rejected
 * @throws {FerryError} this error, if the event is not read leniently or is not valid all the same
 */
export function scanSifted(
  source: string | Uint8Array,
  error: FerryError,
  lenient: LenientReader | undefined,
): { text: string; problems: readonly Problem[] } {
  if (!lenient) throw adviseLenient(error);
  const sifted = lenient.siftJson(source);
  if (!sifted) throw error;
  const { text } = sifted;
  const length = codecs.putText(text);
  const code = length < 0 ? -1 : codecs.call(() => codecs.exports.scan(length));
  if (code !== 0) throw code < 0 ? error : rejected(code, text);
  return sifted;
}
