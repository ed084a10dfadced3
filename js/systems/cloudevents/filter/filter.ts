/** Filters of events: the dialects of the CloudEvents Subscriptions API, and CESQL. */
import { checkOptionNames } from "../../../client/options.js";
import { invalidArgument, mustBe } from "../../../engine/messages.js";
import { filters } from "../../../engine/modules/filters.js";
import { isWellFormed } from "../../../engine/text-module.js";
import { scanBatchesWith } from "../batch-scanner.js";
import { CloudEvent } from "../event.js";
import type { EventSelector } from "../event-selector.js";
import { findPointersWith } from "../pointer.js";
import { checkedFilter, type SubscriptionFilter } from "./dialect.js";
import { FINDER } from "./find.js";
import { type CesqlFunctions, type FunctionTable, functionTable, NO_FUNCTIONS } from "./functions.js";
import { type Evaluation, Program } from "./program.js";

/** Options of `Filter.sql`. */
export interface SqlOptions {
  /** Functions that the expression may call beside the built-in ones. @default none */
  functions?: CesqlFunctions | undefined;
}

/** Tells the constructor that the call is internal. */
const INTERNAL = Symbol();
/** The longest filter as JSON. */
const MAX_LENGTH = 1_000_000;

/**
 * A filter, compiled once. It reads attributes and never the data of an event.
 *
 * @example
 * const filter = Filter.sql("type LIKE 'com.example.order.%' AND priority > 3");
 * const orders = EventBatch.parse(bytes).filter(filter).toBytes();
 */
export class Filter implements EventSelector {
  readonly #filter: SubscriptionFilter;
  readonly #functions: FunctionTable;
  readonly #program: Program;
  /** The expression for its value, of a filter that is one. Compiled when it is evaluated first. */
  #expression: Program | undefined;

  private constructor(tag: symbol, filter: SubscriptionFilter, functions: FunctionTable) {
    if (tag !== INTERNAL) throw invalidArgument("Filter has no public constructor; use Filter.from or Filter.sql");
    const json = JSON.stringify(filter);
    if (json.length > MAX_LENGTH) throw invalidArgument(`a filter must not be longer than ${MAX_LENGTH} characters`);
    this.#filter = filter;
    this.#functions = functions;
    this.#program = new Program(json, false, functions);
    // From now on the module of the filters scans batches, so that a filter needs no second scan.
    scanBatchesWith(SCANNER);
    findPointersWith(FINDER);
  }

  /**
   * A filter of the Subscriptions API: one dialect, or an array of them, which must all match (none: every event does).
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` naming the member, or with the position in an expression
   */
  static from(filter: SubscriptionFilter): Filter {
    return new Filter(INTERNAL, checkedFilter(filter), NO_FUNCTIONS);
  }

  /**
   * A CESQL 1.0.0 expression. It matches an event for which it is `true`, without errors on the way.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` with the position and what was expected there
   */
  static sql(expression: string, options: SqlOptions = {}): Filter {
    if (typeof expression !== "string") throw mustBe("expression", "a CESQL expression", expression);
    if (!isWellFormed(expression)) throw invalidArgument("the expression contains a lone surrogate");
    checkOptionNames("Filter.sql", options, ["functions"]);
    return new Filter(INTERNAL, checkedFilter({ sql: expression }), functionTable(options.functions));
  }

  /** Whether the event matches. @throws {FerryError} `ERR_INVALID_ARGUMENT` for a value that is not a CloudEvent */
  matches(event: CloudEvent): boolean {
    return this.#program.evaluate(attributesOf(event)).value === true;
  }

  /**
   * The value of a CESQL expression for an event, and its errors, instead of the match that is made of them. The value of
   * a filter of another dialect is whether it matches.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a value that is not a CloudEvent
   */
  evaluate(event: CloudEvent): Evaluation {
    return (this.#expressionProgram() ?? this.#program).evaluate(attributesOf(event));
  }

  /** The filter as JSON, for `Filter.from` and the Subscriptions API. Functions are not part of it. */
  toJSON(): SubscriptionFilter {
    return this.#filter;
  }

  /** @internal */
  selectEvents(indices: Uint32Array | number, ensureScanned: () => void): Uint32Array {
    return this.#program.select(indices, ensureScanned);
  }

  /** @internal */
  get runsNoUserCode(): boolean {
    return !this.#program.callsUser;
  }

  #expressionProgram(): Program | undefined {
    if (!("sql" in this.#filter)) return undefined;
    this.#expression ??= new Program(this.#filter.sql, true, this.#functions);
    return this.#expression;
  }
}

const SCANNER = {
  module: filters,
  scan: (length: number, lines: number, inBytes: number, isTrusted: number) =>
    filters.exports.scan_noted(length, lines, inBytes, isTrusted),
};

function attributesOf(event: CloudEvent): (name: string) => unknown {
  if (!(event instanceof CloudEvent)) throw mustBe("event", "a CloudEvent", event);
  return (name) => event.get(name);
}
