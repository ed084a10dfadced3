/** What a pipeline is made of, and the checks of it. */
import { mustBe } from "../../../engine/messages.js";
import { type EnvironmentOption, requiredText, variablesOf } from "./checks.js";
import { connectorToWire, type SinkConnector, type SourceConnector, secretsOf } from "./connectors.js";

/** Whether a pipeline transforms events. A paused one accepts and keeps them. */
export type PipelineState = "running" | "paused";

/** What a pipeline is made of. */
export interface PipelineSettings {
  /** Name of the pipeline. */
  name: string;
  /** Id of the space that has the pipeline. */
  spaceId: string;
  /** The Python source text of the transformation, which has a function `handler(data, log)`. */
  transformation: string;
  /** The text of the `requirements.txt` of the transformation. @default none */
  requirements?: string;
  /** Where its events come from. @default a `PipelineDataSource` publishes them */
  source?: SourceConnector;
  /** Where its events go to. @default a `PipelineDataSink` consumes them */
  sink?: SinkConnector;
  /** Environment variables of the transformation: an object, or a list of `{ name, value }`. @default none */
  env?: EnvironmentOption;
  /** Anything that JSON can represent, for your own use. @default {} */
  metadata?: Readonly<Record<string, unknown>>;
  /** Whether it starts running or paused. @default "running" */
  state?: PipelineState;
}

/** What `update` changes. What is left out stays as it is. */
export type PipelineUpdate = Partial<Omit<PipelineSettings, "spaceId">>;

/** What `update` may change. */
export const CHANGEABLE = [
  "name",
  "transformation",
  "requirements",
  "source",
  "sink",
  "env",
  "metadata",
  "state",
] as const;
/** The names of all settings. */
export const PIPELINE_SETTINGS: readonly (keyof PipelineSettings)[] = [...CHANGEABLE, "spaceId"];
const STATES = ["running", "paused"];

/** The settings among the options of a pipeline. */
export function pickSettings(options: Partial<PipelineSettings>): Partial<PipelineSettings> {
  return Object.fromEntries(
    PIPELINE_SETTINGS.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  );
}

/** Checks what is there. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkSettings(settings: Partial<PipelineSettings>): void {
  for (const name of ["name", "spaceId", "transformation"] as const)
    if (settings[name] !== undefined) requiredText(name, settings[name]);
  const { requirements, source, sink, env, metadata, state } = settings;
  if (requirements !== undefined && typeof requirements !== "string")
    throw mustBe("requirements", "a string", requirements);
  if (source !== undefined) connectorToWire("source", source);
  if (sink !== undefined) connectorToWire("sink", sink);
  if (env !== undefined) variablesOf(env);
  if (metadata !== undefined && (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)))
    throw mustBe("metadata", "an object", metadata);
  if (state !== undefined && !STATES.includes(state)) throw mustBe("state", '"running" or "paused"', state);
}

/** The values of the settings that no message may show. */
export function secretsOfSettings({ source, sink, env }: Partial<PipelineSettings>): string[] {
  return [
    ...variablesOf(env ?? {}).map(({ value }) => value),
    ...secretsOf(source && connectorToWire("source", source)),
    ...secretsOf(sink && connectorToWire("sink", sink)),
  ];
}
