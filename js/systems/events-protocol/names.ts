/** The names of events, and the types of error in the names of responses. */
import { FerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";

/** The last part of the name of a response that is an error, in all ports of the protocol. */
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

/** The type of error of a response. */
export type EventErrorType = (typeof ERROR_TYPES)[number];

/** The last part of a name; the whole name if it has no colon. */
export function suffixOf(name: string): string {
  return name.slice(name.lastIndexOf(":") + 1);
}

/** Whether the protocol has an error type of this name. Case-sensitive. */
export function isErrorType(suffix: unknown): suffix is EventErrorType {
  return (ERROR_TYPES as readonly unknown[]).includes(suffix);
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for an error type that receivers do not know */
export function checkErrorType(type: unknown): asserts type is EventErrorType {
  if (!isErrorType(type)) throw mustBe("type", `one of ${ERROR_TYPES.join(", ")}`, type);
}

/** Two or more parts of `a`-`z` and `_`, each ending with a letter. */
const NAME = /^[a-z_]*[a-z](?::[a-z_]*[a-z])+$/;

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the attribute `name` for a name that the protocol does not allow */
export function checkName(name: unknown): asserts name is string {
  if (typeof name !== "string" || !NAME.test(name))
    throw memberMustBe(
      "name",
      'two or more parts of a-z and _ separated by colons, each ending with a letter, such as "get:user:name"',
      name,
      "set checkNames: false to allow other names",
    );
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the attribute `version` */
export function checkVersion(version: unknown): asserts version is number {
  if (!(Number.isInteger(version) && Math.abs(version as number) < 2 ** 31))
    throw memberMustBe("version", "a 32-bit integer", version);
}

/** The error of `mustBe` with the member as its `attribute`. */
export function memberMustBe(member: string, expected: string, received: unknown, advice?: string): FerryError {
  const { message } = mustBe(member, expected, received, advice);
  return new FerryError("ERR_INVALID_ARGUMENT", message, { attribute: member });
}
