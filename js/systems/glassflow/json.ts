/** Events as JSON text. */
import { CloudEvent } from "../cloudevents/event.js";
import { FerryError } from "../../engine/errors.js";
import { freshId } from "../../platform/uuid.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/**
 * The JSON text of an event. BigInts become digits, as integers of any size do in the original; a CloudEvent is written in the JSON event format.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for what JSON cannot say: `undefined`, functions, circles, `NaN` and infinities; and for
 * `null` and bytes, which are more likely a mistake than an event
 */
export function jsonOf(event: unknown): string {
  if (event instanceof CloudEvent) return event.toString();
  if (event === undefined || event === null)
    throw invalidArgument(`publish takes an event, which is a JSON value, not ${event}`);
  if (event instanceof ArrayBuffer || ArrayBuffer.isView(event))
    throw invalidArgument("an event is a JSON value; bytes have to be put into one, for example as Base64");
  let text: string | undefined;
  try {
    text = JSON.stringify(event);
  } catch (cause) {
    text = withDigits(event, cause);
  }
  if (text === undefined)
    throw invalidArgument(`publish takes an event, which is a JSON value, not ${formatValue(event)}`);
  // JSON.stringify writes null for numbers that JSON does not have.
  if (text.includes("null")) refuseNonNumbers(event);
  return text;
}

/** The same with BigInts in it. */
function withDigits(event: unknown, cause: unknown): string | undefined {
  // A text that nothing else in the event can be.
  const mark = `BigInt ${freshId()} `;
  let isNeeded = false;
  let text: string | undefined;
  try {
    text = JSON.stringify(event, (_, value: unknown) => {
      if (typeof value !== "bigint") return value;
      isNeeded = true;
      return mark + value;
    });
  } catch {
    throw unwritable(cause);
  }
  if (!isNeeded) throw unwritable(cause);
  return text?.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1");
}

function unwritable(cause: unknown): FerryError {
  return new FerryError(
    "ERR_INVALID_ARGUMENT",
    `the event cannot be written as JSON: ${(cause as Error | undefined)?.message ?? String(cause)}`,
    { cause },
  );
}

function refuseNonNumbers(event: unknown): void {
  JSON.stringify(event, (name, value: unknown) => {
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw invalidArgument(
        `the event has ${value}${name === "" ? "" : ` as ${formatValue(name)}`}, and JSON has no such number`,
      );
    }
    return typeof value === "bigint" ? 0 : value;
  });
}
