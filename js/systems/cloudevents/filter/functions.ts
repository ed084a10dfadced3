/** The functions of the user that CESQL expressions may call (CESQL 1.0.0, section 3.5). */
import { checkOptionNames } from "../../../client/options.js";
import { invalidArgument, mustBe } from "../../../engine/messages.js";

/** A value of CESQL. Numbers are integers of 32 bits. */
export type CesqlValue = boolean | number | string;

/** A type of CESQL. `"any"` takes values as they are. */
export type CesqlType = "any" | "boolean" | "integer" | "string";

/** A function with the types of its parameters, to which the arguments are cast. */
export interface CesqlSignature {
  /** The types of the arguments that must be given. @default none */
  parameters?: readonly CesqlType[];
  /** The type of any number of further arguments. @default no further arguments */
  rest?: CesqlType;
  /** The type of the result. A call that fails has its zero value: `false`, `0` or `""`. @default "any" */
  returns?: CesqlType;
  /**
   * Called with the arguments. It must return a value of CESQL at once: all else, and an exception, is the error
   * `functionEvaluation`. It may be called again for the same event, so it should depend on its arguments alone.
   */
  // biome-ignore lint/suspicious/noExplicitAny: the types are in `parameters`.
  call(...args: any[]): CesqlValue;
}

/** A function: as a plain one it takes at least as many arguments as it has parameters, of any type. */
// biome-ignore lint/suspicious/noExplicitAny: a plain function states no types.
export type CesqlFunction = ((...args: any[]) => CesqlValue) | CesqlSignature;

/**
 * Functions by name. Names have letters, digits and `_`, start with a letter, and are not case-sensitive. In an array,
 * each takes another number of arguments; there a plain function takes exactly as many as it has parameters.
 */
export type CesqlFunctions = Readonly<Record<string, CesqlFunction | readonly CesqlFunction[]>>;

/** The functions as the engine knows them, by number. */
export interface FunctionTable {
  /** JSON for the engine: name, types of the parameters and type of the result of each. */
  readonly signatures: string;
  readonly calls: readonly ((...args: CesqlValue[]) => unknown)[];
}

export const NO_FUNCTIONS: FunctionTable = { signatures: "[]", calls: [] };

const LETTERS: Record<CesqlType, string> = { any: "a", boolean: "b", integer: "i", string: "s" };
const BUILT_IN =
  /^(?:LENGTH|CONCAT|CONCAT_WS|LOWER|UPPER|TRIM|LEFT|RIGHT|SUBSTRING|ABS|INT|BOOL|STRING|AND|OR|XOR|NOT|IN|LIKE|EXISTS|TRUE|FALSE)$/;

interface Overload {
  parameters: string;
  arity: number;
  rest: string;
  returns: string;
  call: (...args: CesqlValue[]) => unknown;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function functionTable(functions: unknown): FunctionTable {
  if (functions === undefined) return NO_FUNCTIONS;
  if (typeof functions !== "object" || functions === null || Array.isArray(functions))
    throw mustBe("functions", "an object with functions by name", functions);
  const signatures: string[][] = [];
  const calls: FunctionTable["calls"][number][] = [];
  const names = new Set<string>();
  for (const [given, value] of Object.entries(functions)) {
    const name = given.toUpperCase();
    if (!/^[A-Z][A-Z0-9_]*$/.test(name))
      throw invalidArgument(
        `functions: the name ${JSON.stringify(given)} must be letters, digits and _, with a letter first`,
      );
    if (BUILT_IN.test(name)) throw invalidArgument(`functions: ${name} is built in and cannot be defined`);
    if (names.has(name)) throw invalidArgument(`functions: ${name} is defined twice`);
    names.add(name);
    const path = `functions.${given}`;
    const overloads = Array.isArray(value)
      ? value.map((one, index) => overload(one, `${path}[${index}]`, true))
      : [overload(value, path, false)];
    checkArities(overloads, path);
    for (const { parameters, rest, returns, call } of overloads) {
      signatures.push([name, rest === "" ? parameters : `${parameters}*${rest}`, returns]);
      calls.push(call);
    }
  }
  return { signatures: JSON.stringify(signatures), calls };
}

function overload(value: unknown, path: string, isFixed: boolean): Overload {
  if (typeof value === "function") {
    const arity = value.length;
    const call = (...args: CesqlValue[]) => (value as (...args: CesqlValue[]) => unknown)(...args);
    return { parameters: "a".repeat(arity), arity, rest: isFixed ? "" : "a", returns: "a", call };
  }
  if (typeof value !== "object" || value === null || typeof (value as CesqlSignature).call !== "function")
    throw mustBe(path, "a function, or an object with a function call", value);
  checkOptionNames(path, value, ["parameters", "rest", "returns", "call"]);
  const signature = value as CesqlSignature;
  const { parameters = [], rest, returns = "any" } = signature;
  if (!Array.isArray(parameters)) throw mustBe(`${path}.parameters`, "an array of types", parameters);
  return {
    parameters: parameters.map((type, index) => letter(type, `${path}.parameters[${index}]`)).join(""),
    arity: parameters.length,
    rest: rest === undefined ? "" : letter(rest, `${path}.rest`),
    returns: letter(returns, `${path}.returns`),
    call: (...args) => signature.call(...args),
  };
}

function letter(type: unknown, path: string): string {
  if (typeof type === "string" && Object.hasOwn(LETTERS, type)) return LETTERS[type as CesqlType];
  throw mustBe(path, '"any", "boolean", "integer" or "string"', type);
}

/** Section 3.5: each overload has another arity; one may take any number, after more fixed arguments than all others. */
function checkArities(overloads: readonly Overload[], path: string): void {
  const arities = new Set(overloads.map(({ arity }) => arity));
  const variadic = overloads.filter(({ rest }) => rest !== "");
  const isValid =
    arities.size === overloads.length &&
    variadic.length <= 1 &&
    variadic.every(({ arity }) => arity === Math.max(...arities));
  if (overloads.length === 0 || !isValid)
    throw invalidArgument(
      `${path} must be functions that each take another number of arguments; only the one with most parameters may take further ones`,
    );
}

/** What a function has returned, as the engine takes it: `null` if it has failed. */
export function callFunction({ calls }: FunctionTable, number: number, args: CesqlValue[]): CesqlValue | null {
  let value: unknown;
  try {
    value = calls[number]!(...args);
  } catch {
    return null;
  }
  const isValue =
    typeof value === "boolean" || typeof value === "string" || (typeof value === "number" && (value | 0) === value);
  // A rejected promise that nobody waits for would end a process.
  if (value instanceof Promise) value.catch(() => undefined);
  return isValue ? (value as CesqlValue) : null;
}
