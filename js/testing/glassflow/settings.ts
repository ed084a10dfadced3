/** What the management API knows of a pipeline, in the names of that API. */
import { unixNow } from "../../platform/clock.js";
import { connectorFromWire, connectorToWire } from "../../systems/glassflow/management/connectors.js";
import type { Variable, WireConnector } from "../../systems/glassflow/management/operations.js";

/** The settings of an emulated pipeline. */
export interface EmulatedPipelineSettings {
  /** The name of the pipeline. @default the id */
  name: string;
  /** The id of its space. @default a space named `default` */
  spaceId: string;
  /** The metadata. @default {} */
  metadata: unknown;
  /** The source text of the transformation, which the emulator cannot run: see `compile`. */
  transformation: string;
  /** The `requirements.txt` of the transformation. */
  requirements: string;
  /** The source connector as on the wire, which the emulator stores only. */
  source: unknown;
  /** The sink connector as on the wire, which the emulator stores only. */
  sink: unknown;
  /** The environment variables. */
  env: readonly Variable[];
}

/** Why a request is refused, and with which status. */
export class Refusal {
  readonly status: number;
  readonly detail: string;

  constructor(status: number, detail: string) {
    this.status = status;
    this.detail = detail;
  }
}

/** The settings of a pipeline that a test has created. */
export function defaultSettings(id: string): EmulatedPipelineSettings {
  const transformation = "def handler(data, log):\n    return data\n";
  return { name: id, spaceId: "", metadata: {}, transformation, requirements: "", source: null, sink: null, env: [] };
}

/** A space. */
export interface EmulatedSpace {
  /** The id of the space. */
  readonly id: string;
  /** The name of the space. */
  readonly name: string;
  /** When it was created, in RFC 3339. */
  readonly createdAt: string;
}

/** A new space. */
export function newSpace(name: string): EmulatedSpace {
  return { id: crypto.randomUUID(), name, createdAt: new Date(unixNow()).toISOString() };
}

/**
 * Checks a connector of a request.
 *
 * @param hasSecret whether the organization has a secret with this key
 * @throws {Refusal}
 */
export function checkedConnector(
  role: "source" | "sink",
  given: unknown,
  hasSecret: (key: string) => boolean,
): unknown {
  if (given === null || given === undefined) return null;
  try {
    connectorToWire(role, connectorFromWire(given as WireConnector));
  } catch (error) {
    throw new Refusal(400, (error as Error).message);
  }
  const keys = JSON.stringify(given).matchAll(/"secret_ref":\{[^}]*"key":"(\w*)"/g);
  for (const [, key] of keys) if (!hasSecret(key!)) throw new Refusal(400, `there is no secret ${key}`);
  return given;
}

/** Checks the environment of a request. @throws {Refusal} */
export function checkedVariables(given: unknown): readonly Variable[] {
  if (given === null || given === undefined) return [];
  const isVariable = (item: unknown) =>
    typeof (item as Variable | null)?.name === "string" && typeof (item as Variable).value === "string";
  if (!Array.isArray(given) || !given.every(isVariable))
    throw new Refusal(400, "environments must be a list of objects with name and value");
  return given.map(({ name, value }: Variable) => ({ name, value }));
}
