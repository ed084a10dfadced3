/** Events as JSON text. */
import { FerryError } from "../../engine/errors.js";
import { formatValue, invalidArgument, mustBe } from "../../engine/messages.js";
import { freshId } from "../../platform/uuid.js";
import { CloudEvent } from "../cloudevents/event.js";

/**
 * The JSON text of an event. A BigInt becomes an integer with all its digits, as in the original; a CloudEvent is
 * written in the JSON event format.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for values that JSON cannot represent: `undefined`, functions, circular
 * structures, `NaN` and infinities; and for `null` and bytes, which are more likely a mistake than an event
 */
export function eventToJson(event: unknown): string {
  if (event instanceof CloudEvent) return event.toString();
  if (event === undefined || event === null) throw mustBe("event", EVENT_TYPE, event);
  if (event instanceof ArrayBuffer || ArrayBuffer.isView(event))
    throw mustBe("event", EVENT_TYPE, event, "encode bytes as a string, for example as Base64");
  let text: string | undefined;
  try {
    text = JSON.stringify(event);
  } catch (cause) {
    text = stringifyBigInts(event, cause);
  }
  if (text === undefined) throw mustBe("event", EVENT_TYPE, event);
  // JSON.stringify writes null for numbers that JSON cannot represent.
  if (text.includes("null")) refuseNonFiniteNumbers(event);
  return text;
}

const EVENT_TYPE = "a JSON value other than null";

/** Serializes an event that contains BigInts. Throws for any other reason why `JSON.stringify` failed. */
function stringifyBigInts(event: unknown, cause: unknown): string | undefined {
  // A random prefix that no other string of the event has.
  const prefix = `BigInt ${freshId()} `;
  let hasBigInt = false;
  let text: string | undefined;
  try {
    text = JSON.stringify(event, (_, value: unknown) => {
      if (typeof value !== "bigint") return value;
      hasBigInt = true;
      return prefix + value;
    });
  } catch {
    throw notSerializable(cause);
  }
  if (!hasBigInt) throw notSerializable(cause);
  return text?.replaceAll(new RegExp(`"${prefix}(-?\\d+)"`, "g"), "$1");
}

function notSerializable(cause: unknown): FerryError {
  const reason = (cause as Error | undefined)?.message ?? String(cause);
  return new FerryError("ERR_INVALID_ARGUMENT", `the event cannot be serialized as JSON: ${reason}`, { cause });
}

function refuseNonFiniteNumbers(event: unknown): void {
  JSON.stringify(event, (name, value: unknown) => {
    if (typeof value === "number" && !Number.isFinite(value)) {
      const place = name === "" ? "" : ` in ${formatValue(name)}`;
      throw invalidArgument(`the event has ${value}${place}; JSON cannot represent this number`);
    }
    return typeof value === "bigint" ? 0 : value;
  });
}
