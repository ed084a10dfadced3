/** Builds the messages of `ERR_INVALID_ARGUMENT`, so that all follow one pattern. */
import { FerryError } from "./errors.js";

/** Stands for a received value that may be secret: the message does not show it. */
export const HIDDEN: unique symbol = Symbol("hidden");

/**
 * `<name> must be <expected>; received <value>; <advice>`.
 *
 * @param expected the type or range, for example `a number of milliseconds above 0`
 * @param received the value that was given, or `HIDDEN`
 * @param advice what to do, if that is not obvious
 */
export function mustBe(
  name: string,
  expected: string,
  received: unknown,
  advice: string | undefined = commonAdvice(expected, received),
): FerryError {
  const parts = [`${name} must be ${expected}`];
  if (received !== HIDDEN) parts.push(`received ${formatValue(received)}`);
  if (advice !== undefined) parts.push(advice);
  return invalidArgument(parts.join("; "));
}

/** Advice for mistakes that are possible with any argument: a missing `await`, and a near miss of an allowed string. */
function commonAdvice(expected: string, received: unknown): string | undefined {
  if (typeof (received as PromiseLike<unknown> | null | undefined)?.then === "function") return "await it first";
  if (typeof received !== "string") return undefined;
  const allowed = Array.from(expected.matchAll(/"([^"]+)"/g), ([, text]) => text!);
  return allowed.includes(received) ? undefined : didYouMean(received, allowed);
}

/**
 * `<owner> has no option "<name>"; did you mean "<near miss>"?`, or a list of the names it has.
 *
 * @param inner options of options, such as `retry.attempts`, which are easily written one level too high
 */
export function unknownOption(
  owner: string,
  name: string,
  known: readonly string[],
  inner: readonly string[] = [],
): FerryError {
  const hint = didYouMean(name, [...known, ...inner]) ?? `the options are ${known.join(", ")}`;
  return invalidArgument(`${owner} has no option ${formatValue(name)}; ${hint}`);
}

function didYouMean(given: string, known: readonly string[]): string | undefined {
  const find = (isLike: (given: string, name: string) => boolean) =>
    known.find((candidate) => isLike(given, candidate) || isLike(given, candidate.split(".").at(-1)!));
  const near = find(isNearMiss) ?? find(isSynonym);
  if (near === undefined) return undefined;
  return `did you mean ${near.includes(".") ? near : formatValue(near)}?`;
}

/** An `ERR_INVALID_ARGUMENT` with any message. */
export function invalidArgument(sentence: string): FerryError {
  return new FerryError("ERR_INVALID_ARGUMENT", sentence);
}

/** A value for a message: on one line, strings in quotes, at most 80 characters. */
export function formatValue(value: unknown): string {
  // An object may have a toString that throws, or none at all.
  const isObject = (typeof value === "object" && value !== null) || typeof value === "function";
  const text =
    typeof value === "string"
      ? JSON.stringify(value)
      : isObject
        ? Object.prototype.toString.call(value)
        : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/** Whether two names differ in case, separators, or one character that is missing, added, changed or swapped. */
function isNearMiss(given: string, known: string): boolean {
  const [a, b] = [given, known].map((name) => name.toLowerCase().replaceAll(/[-_\s]/g, "")) as [string, string];
  if (a === b) return true;
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [left, right] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  return (left.length <= 1 && right.length <= 1) || (left.length === 2 && left === right[1]! + right[0]!);
}

/** Names that other libraries have for the same option. */
const SYNONYMS = [
  /^(?:(?:base|api)?ur[il]|endpoint|address|host|href)$/i,
  /^(?:on)?(?:event|message|handler?|callback|listener)$/i,
  /^(?:max)?(?:attempts|retries|tries)$/i,
  /(?:^|access|auth)token$/i,
  /^timeout(?:ms)?$/i,
];

function isSynonym(given: string, known: string): boolean {
  return SYNONYMS.some((names) => names.test(given) && names.test(known));
}
