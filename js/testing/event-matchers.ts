/** Checks of events of the events protocol, for tests: a function that throws, and matchers for `expect.extend`. */
import type { EventRef } from "../systems/events-protocol/engine.js";
import type { ProtocolEvent, ResponseEvent } from "../systems/events-protocol/event.js";
import type { EventErrorType } from "../systems/events-protocol/names.js";

/** What an event is expected to be; what is left out is not checked. */
export interface ExpectedEvent {
  /** The name of the event. */
  name?: string;
  /** The version of the event. */
  version?: number;
  /** The id of the event. */
  id?: string;
  /** The id of the flow that the event belongs to. */
  flowId?: string;
  /** The kind of a response. */
  kind?: "success" | "redirect" | "error";
  /** The type of a response that is an error. */
  errorType?: EventErrorType | "unknown";
  /** The code of a response that is an error. */
  errorCode?: string;
  /** The request that the event must answer: with its id and the id of its flow. */
  answers?: EventRef;
  /** The payload. Of objects only these members are compared, of arrays all. */
  payload?: unknown;
}

/** The result of a matcher, as Jest and Vitest want it. */
export interface MatcherResult {
  /** Whether the event is as expected. */
  pass: boolean;
  /** What was expected and what came. */
  message(): string;
}

/**
 * Checks an event.
 *
 * @example
 * assertEvent(response, { kind: "success", answers: request, payload: { name: "Åsa" } });
 *
 * @throws an `Error` that names the first difference
 */
export function assertEvent(event: ProtocolEvent | ResponseEvent, expected: ExpectedEvent): void {
  const problem = differenceOf(event, expected);
  if (problem !== undefined) throw new Error(problem);
}

/**
 * Matchers for `expect.extend` of Vitest and Jest.
 *
 * @example
 * expect.extend(eventMatchers);
 * expect(response).toBeEventError("notFound", "NO_SUCH_USER");
 */
export const eventMatchers: {
  /** A response that is a success. */
  toBeSuccess(event: unknown): MatcherResult;
  /** A response that is a redirect, to this URL if one is given. */
  toBeRedirect(event: unknown, url?: string): MatcherResult;
  /** A response that is an error, of this type and with this code if they are given. */
  toBeEventError(event: unknown, type?: EventErrorType | "unknown", code?: string): MatcherResult;
  /** The answer to a request: with its id and the id of its flow. */
  toAnswer(event: unknown, request: EventRef): MatcherResult;
  /** An event whose payload has at least these members. */
  toHavePayload(event: unknown, payload: unknown): MatcherResult;
} = {
  toBeSuccess: (event) => matches(event, { kind: "success" }),
  toBeRedirect: (event, url) => matches(event, { kind: "redirect", ...(url !== undefined && { payload: { url } }) }),
  toBeEventError: (event, type, code) =>
    matches(event, {
      kind: "error",
      ...(type !== undefined && { errorType: type }),
      ...(code !== undefined && { errorCode: code }),
    }),
  toAnswer: (event, request) => matches(event, { answers: request }),
  toHavePayload: (event, payload) => matches(event, { payload }),
};

function matches(event: unknown, expected: ExpectedEvent): MatcherResult {
  const problem = differenceOf(event, expected);
  return {
    pass: problem === undefined,
    message: () => problem ?? `expected the event not to be ${describe(expected)}, but it is`,
  };
}

/** The first difference as a sentence; undefined if there is none. */
function differenceOf(event: unknown, expected: ExpectedEvent): string | undefined {
  const received = event as (ResponseEvent & Record<string, unknown>) | null | undefined;
  if (typeof received?.name !== "string" || typeof received.flowId !== "string")
    return `expected an event of the events protocol; received ${show(event)}`;
  const { kind, answers, payload, ...members } = expected;
  if (kind !== undefined && received.kind !== kind) return `expected ${nameOf(kind)}; received ${outcomeOf(received)}`;
  for (const [name, value] of Object.entries(members)) {
    if (value !== undefined && received[name] !== value)
      return `expected ${name} ${show(value)}; received ${show(received[name])} (${outcomeOf(received)})`;
  }
  for (const name of ["id", "flowId"] as const) {
    if (answers !== undefined && received[name] !== answers[name])
      return `expected the answer to ${show(answers.name)} with ${name} ${show(answers[name])}; received ${show(received[name])}`;
  }
  if (payload === undefined) return undefined;
  const path = differentPath(received.payload, payload);
  if (path === undefined) return undefined;
  const place = path.map((name) => `/${name}`).join("");
  return `expected payload${place} to be ${show(at(payload, path))}; received ${show(at(received.payload, path))}`;
}

function nameOf(kind: string): string {
  return `${kind === "error" ? "an" : "a"} ${kind}`;
}

function outcomeOf({ kind, errorType, errorCode, name }: ResponseEvent): string {
  if (kind === undefined) return `a request ${show(name)}`;
  return kind === "error" ? [errorType, errorCode].filter(Boolean).join(", ") : nameOf(kind);
}

function describe(expected: ExpectedEvent): string {
  return Object.entries(expected)
    .map(([name, value]) => `${name} ${show(name === "answers" ? (value as EventRef).id : value)}`)
    .join(", ");
}

/** The names of the members that lead to the first difference; undefined if there is none. */
function differentPath(received: unknown, expected: unknown): string[] | undefined {
  if (typeof expected !== "object" || expected === null) return Object.is(received, expected) ? undefined : [];
  if (typeof received !== "object" || received === null || Array.isArray(received) !== Array.isArray(expected))
    return [];
  if (Array.isArray(expected) && expected.length !== (received as unknown[]).length) return [];
  for (const [name, value] of Object.entries(expected)) {
    const path = differentPath((received as Record<string, unknown>)[name], value);
    if (path !== undefined) return [name, ...path];
  }
  return undefined;
}

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce((inner, name) => (inner as Record<string, unknown> | undefined)?.[name], value);
}

function show(value: unknown): string {
  try {
    return JSON.stringify(value)?.slice(0, 200) ?? String(value);
  } catch {
    return String(value);
  }
}
