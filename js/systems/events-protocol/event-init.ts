/** Checks the arguments from which events are made. */
import { checkOptionNames } from "../../client/options.js";
import { FerryError } from "../../engine/errors.js";
import { HIDDEN, mustBe } from "../../engine/messages.js";
import type { Members } from "./engine.js";
import { checkVersion, memberMustBe } from "./names.js";

/** The ids of a flow: those of an event, or of the context of a handler. */
export interface FlowIds {
  /** The id of the event. */
  readonly id: string;
  /** The id of the flow that the event belongs to. */
  readonly flowId: string;
}

/** The members of a new event. */
export interface EventInit {
  /** `domain:resource:action` */
  name: string;
  /** A 32-bit integer. @default 1 */
  version?: number;
  /** Any JSON. @default {} */
  payload?: unknown;
  /** @default a fresh UUID */
  id?: string;
  /** @default a fresh UUID */
  flowId?: string;
  /** The sender: `{ userId }` or `{ user: { id, type } }`. @default {} */
  identity?: object;
  /** The credentials of the sender. Sent with the event, and never shown in errors, logs or JSON. @default {} */
  auth?: object;
  /** Facts about the event, such as `{ origin: "web" }`. @default {} */
  metadata?: object;
}

/** The members that stay JSON text until they are read. */
export type JsonMember = "payload" | "identity" | "auth" | "metadata";
const JSON_MEMBERS: readonly JsonMember[] = ["payload", "identity", "auth", "metadata"];
export const EVENT_MEMBERS: readonly string[] = ["name", "version", "id", "flowId", ...JSON_MEMBERS];

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the member as `attribute` */
export function validateInit(className: string, init: EventInit | undefined): Members {
  checkOptionNames(className, init, EVENT_MEMBERS);
  const { name, version = 1, id, flowId, ...jsonMembers } = init!;
  if (typeof name !== "string" || name === "")
    throw memberMustBe("name", "a non-empty string such as get:user:name", name);
  checkVersion(version);
  const members: Members = { name, version };
  for (const [member, value] of [
    ["id", id],
    ["flowId", flowId],
  ] as const) {
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "") throw memberMustBe(member, "a non-empty string", value);
    members[member] = value;
  }
  for (const member of JSON_MEMBERS) {
    if (jsonMembers[member] === undefined) continue;
    const json = toJson(member, jsonMembers[member]);
    if (member !== "payload" && json[0] !== "{") throw memberMustBe(member, "an object", HIDDEN);
    members[member] = json;
  }
  return members;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT`; the message does not show the value, which may be secret */
function toJson(member: string, value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (cause) {
    throw new FerryError("ERR_INVALID_ARGUMENT", `${member} cannot be serialized as JSON`, {
      attribute: member,
      cause,
    });
  }
  if (json === undefined) throw memberMustBe(member, "a value that JSON can express", HIDDEN);
  return json;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkFlowIds(name: string, ids: unknown): asserts ids is FlowIds {
  const { id, flowId } = (ids ?? {}) as Partial<FlowIds>;
  if (typeof id !== "string" || typeof flowId !== "string")
    throw mustBe(name, "an event or the context of a handler, with id and flowId", ids);
}
