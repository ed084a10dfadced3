/** The filters of the CloudEvents Subscriptions API (0.1 draft, section 3.2.4.1), and the checks of their shape. */
import { formatValue, invalidArgument, mustBe } from "../../../engine/messages.js";

/** Attributes with texts: all of them must match. Neither may be empty. */
export type AttributeTexts = Readonly<Record<string, string>>;

/** One filter: an object with exactly one dialect. */
export type FilterDialect =
  | {
      /** The attributes are exactly these texts. Integers and Booleans are compared as text. */
      readonly exact: AttributeTexts;
    }
  | {
      /** The attributes start with these texts. */
      readonly prefix: AttributeTexts;
    }
  | {
      /** The attributes end with these texts. */
      readonly suffix: AttributeTexts;
    }
  | {
      /** All of these filters match. */
      readonly all: readonly FilterDialect[];
    }
  | {
      /** At least one of these filters matches. */
      readonly any: readonly FilterDialect[];
    }
  | {
      /** This filter does not match. */
      readonly not: FilterDialect;
    }
  | {
      /** This CESQL expression is true, without errors. */
      readonly sql: string;
    };

/** The member `filters` of a subscription: one filter, or an array of them, which must all match. */
export type SubscriptionFilter = FilterDialect | readonly FilterDialect[];

const DIALECTS = ["exact", "prefix", "suffix", "all", "any", "not", "sql"];
/** As deep as `MAX_DEPTH` in `src/cloudevents/filter/dialects.rs`. */
const MAX_DEPTH = 50;

/** A copy of a filter, which nobody else can change. @throws {FerryError} `ERR_INVALID_ARGUMENT` naming the member */
export function checkedFilter(filter: unknown): SubscriptionFilter {
  return Array.isArray(filter)
    ? Object.freeze(filter.map((item, index) => checkedDialect(item, `filter[${index}]`, 1)))
    : checkedDialect(filter, "filter", 0);
}

function checkedDialect(filter: unknown, path: string, depth: number): FilterDialect {
  if (depth > MAX_DEPTH) throw invalidArgument(`the filters must not be nested more than ${MAX_DEPTH} deep`);
  const names = isObject(filter) ? Object.keys(filter) : [];
  const [dialect] = names;
  if (dialect === undefined || names.length !== 1 || !DIALECTS.includes(dialect))
    throw mustBe(
      path,
      `an object with exactly one of ${DIALECTS.join(", ")}`,
      names.length > 0 ? `{ ${names.join(", ")} }` : filter,
    );
  const value = (filter as Record<string, unknown>)[dialect];
  const inner = `${path}.${dialect}`;
  switch (dialect) {
    case "all":
    case "any":
      if (!Array.isArray(value) || value.length === 0) throw mustBe(inner, "an array with at least one filter", value);
      return frozen(
        dialect,
        Object.freeze(value.map((item, index) => checkedDialect(item, `${inner}[${index}]`, depth + 1))),
      );
    case "not":
      return frozen(dialect, checkedDialect(value, inner, depth + 1));
    case "sql":
      if (typeof value !== "string") throw mustBe(inner, "a CESQL expression", value);
      return frozen(dialect, value);
    default:
      return frozen(dialect, checkedTexts(value, inner));
  }
}

function checkedTexts(value: unknown, path: string): AttributeTexts {
  const entries = isObject(value) ? Object.entries(value) : [];
  if (entries.length === 0) throw mustBe(path, "an object with at least one attribute and its text", value);
  for (const [name, text] of entries) {
    if (!/^[a-z0-9]+$/.test(name) || name === "data")
      throw invalidArgument(`${path} has ${formatValue(name)}, which is not the name of an attribute (a-z and 0-9)`);
    if (typeof text !== "string" || text === "") throw mustBe(`${path}.${name}`, "a non-empty string", text);
  }
  return Object.freeze(Object.fromEntries(entries)) as AttributeTexts;
}

function frozen(dialect: string, value: unknown): FilterDialect {
  return Object.freeze({ [dialect]: value }) as unknown as FilterDialect;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
