/** The words of the protocol: names of events, and what the end of a response's name means. */
import { FerryError } from "../../engine/errors.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** The ends of names of responses that are errors, of all ports of the protocol. */
export const ERROR_TYPES = [
  "error",
  "badRequest",
  "badProtocol",
  "notFound",
  "eventNotFound",
  "unauthorized",
  "forbidden",
  "userDenied",
  "resourceDenied",
  "expired",
  "gone",
  "unprocessable",
] as const;

/** What kind of error a response is. */
export type EventErrorType = (typeof ERROR_TYPES)[number];

/** What stands behind the last colon of a name, or all of it. */
export function suffixOf(name: string): string {
  return name.slice(name.lastIndexOf(":") + 1);
}

/** Whether the protocol knows an error of that name. Case counts. */
export function isErrorType(suffix: unknown): suffix is EventErrorType {
  return (ERROR_TYPES as readonly unknown[]).includes(suffix);
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for a type of error that receivers would not know. */
export function checkErrorType(type: unknown): asserts type is EventErrorType {
  if (!isErrorType(type))
    throw invalidArgument(
      `${formatValue(type)} is no type of error of the events protocol; there are ${ERROR_TYPES.join(", ")}`,
    );
}

/** At least two words of `a`-`z` and `_`, each of them ending with a letter. */
const NAME = /^[a-z_]*[a-z](?::[a-z_]*[a-z])+$/;

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the attribute `name`, for a name that the protocol does not allow. */
export function checkName(name: unknown): asserts name is string {
  if (typeof name !== "string" || !NAME.test(name)) {
    const sentence = `the name of an event is at least two words of a-z and _ with colons between them, such as get:user:name, each of which ends with a letter, and not ${formatValue(name)}; checkNames: false allows others`;
    throw new FerryError("ERR_INVALID_ARGUMENT", sentence, { attribute: "name" });
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the attribute `version`. */
export function checkVersion(version: unknown): asserts version is number {
  if (!(Number.isInteger(version) && Math.abs(version as number) < 2 ** 31)) {
    throw new FerryError(
      "ERR_INVALID_ARGUMENT",
      `the version of an event is a whole number of 32 bits, not ${formatValue(version)}`,
      { attribute: "version" },
    );
  }
}
