/** Events as objects. What they carry stays the text it came as until somebody reads it. */
import { FerryError } from "../../engine/errors.js";
import { checkOptionNames } from "../../client/options.js";
import { freshId } from "../../platform/uuid.js";
import type { Members, Subject } from "./engine.js";
import { type EventErrorType, checkVersion, isErrorType, suffixOf } from "./names.js";
import { type EventSchema, fitted } from "./schema.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** The two ids that belong to a flow: those of an event, or of the context of a handler. */
export interface FlowIds {
  readonly id: string;
  readonly flowId: string;
}

/** An event to be made. */
export interface EventInit {
  /** `domain:resource:action` */
  name: string;
  /** @default 1 */
  version?: number;
  /** Any JSON. @default {} */
  payload?: unknown;
  /** @default a fresh UUID */
  id?: string;
  /** @default a fresh UUID */
  flowId?: string;
  /** Who sends it: `{ userId }` or `{ user: { id, type } }`. @default {} */
  identity?: object;
  /** What proves that. It is sent with the event and shown nowhere else. @default {} */
  auth?: object;
  /** Facts about the event, such as `{ origin: "web" }`. @default {} */
  metadata?: object;
}

/** The members that stay text. */
type Carried = "payload" | "identity" | "auth" | "metadata";
const CARRIED: readonly Carried[] = ["payload", "identity", "auth", "metadata"];
const MEMBERS = ["name", "version", "id", "flowId", ...CARRIED];

let textOf: (event: ProtocolEvent, member: Carried) => string;

/** One of the members that an event carries, as JSON text. */
export function carried(event: ProtocolEvent, member: Carried): string {
  return textOf(event, member);
}

/** What requests and responses have in common. Immutable, but for what is in the values that it gives out. */
export abstract class ProtocolEvent<T = unknown> implements Subject {
  readonly name: string;
  readonly version: number;
  readonly id: string;
  readonly flowId: string;
  /** Private, so that no log and no debugger shows `auth` by itself. */
  readonly #texts: Readonly<Record<Carried, string>>;
  readonly #values: Partial<Record<Carried, unknown>> = {};

  static {
    textOf = (event, member) => event.#texts[member];
  }

  /** @internal */
  constructor({
    name,
    version,
    id = freshId(),
    flowId = freshId(),
    payload = "{}",
    identity = "{}",
    auth = "{}",
    metadata = "{}",
  }: Members) {
    this.name = name;
    this.version = version;
    this.id = id;
    this.flowId = flowId;
    this.#texts = { payload, identity, auth, metadata };
  }

  /** What it says. Parsed when it is first read, then kept. */
  get payload(): T {
    return this.#read("payload") as T;
  }

  /** Who sends it. */
  get identity(): Record<string, unknown> {
    return this.#read("identity") as Record<string, unknown>;
  }

  /** What proves that. In no log, unless you put it there. */
  get auth(): Record<string, unknown> {
    return this.#read("auth") as Record<string, unknown>;
  }

  /** Facts about the event. */
  get metadata(): Record<string, unknown> {
    return this.#read("metadata") as Record<string, unknown>;
  }

  /** The JSON text of the payload: as it came, with every digit of every number. */
  get payloadText(): string {
    return this.#texts.payload;
  }

  /** `identity.userId`, or `identity.user.id`: text, or a number as text. */
  get userId(): string | undefined {
    const { userId, user } = this.identity;
    return idText(userId) ?? idText((user as { id?: unknown } | undefined)?.id);
  }

  /** `identity.user.type` */
  get userType(): string | undefined {
    return text((this.identity["user"] as { type?: unknown } | undefined)?.type);
  }

  /** `metadata.origin` */
  get origin(): string | undefined {
    return text(this.metadata["origin"]);
  }

  /** The payload as a schema makes it. @throws {MissingEventInformationException} if it does not fit */
  payloadAs<U>(schema: EventSchema<U>): Promise<U> {
    return fitted(schema, this.payload);
  }

  /** The identity as a schema makes it. @throws {MissingEventInformationException} if it does not fit */
  identityAs<U>(schema: EventSchema<U>): Promise<U> {
    return fitted(schema, this.identity);
  }

  /** `auth` as a schema makes it. @throws {MissingEventInformationException} if it does not fit */
  authAs<U>(schema: EventSchema<U>): Promise<U> {
    return fitted(schema, this.auth);
  }

  /** All members, `auth` left empty: this is what `JSON.stringify` writes, so it goes into logs. */
  toJSON(): Record<string, unknown> {
    const { name, version, id, flowId, payload, identity, metadata } = this;
    return { name, version, id, flowId, payload, identity, auth: {}, metadata };
  }

  /** The event as it is sent, with its `auth`. */
  toText(): string {
    const { payload, identity, auth, metadata } = this.#texts;
    const [name, id, flowId] = [this.name, this.id, this.flowId].map((text) => JSON.stringify(text));
    return `{"name":${name},"version":${this.version},"id":${id},"flowId":${flowId},"payload":${payload},"identity":${identity},"auth":${auth},"metadata":${metadata}}`;
  }

  #read(member: Carried): unknown {
    if (!(member in this.#values)) this.#values[member] = JSON.parse(this.#texts[member]);
    return this.#values[member];
  }
}

/** An event that asks for something. */
export class RequestEvent<T = unknown> extends ProtocolEvent<T> {
  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the `attribute` that is wrong */
  constructor(init: EventInit);
  /** @internal One that came in: nothing of it is checked again. */
  constructor(init: undefined, members: Members);
  constructor(init: EventInit | undefined, members?: Members) {
    super(init === undefined && members ? members : membersOf("RequestEvent", init));
  }
}

/** How a request was answered. */
export class ResponseEvent<T = unknown> extends ProtocolEvent<T> {
  /** The HTTP status, of a response that came over HTTP. */
  declare readonly status?: number;
  /** The other side left out `id` or `flowId`, so that of the request stands there. */
  declare readonly hasRequestIds?: boolean;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the `attribute` that is wrong */
  constructor(init: EventInit);
  /** @internal One that came in over HTTP, to this request. */
  constructor(init: undefined, members: Members, status: number, request: FlowIds);
  constructor(init: EventInit | undefined, members?: Members, status?: number, request?: FlowIds) {
    const isReceived = init === undefined && members !== undefined;
    super(isReceived ? { id: request!.id, flowId: request!.flowId, ...members } : membersOf("ResponseEvent", init));
    if (!isReceived) return;
    this.status = status!;
    this.hasRequestIds = members.id === undefined || members.flowId === undefined;
  }

  /** What stands behind the last colon of the name: everything that it says of its outcome. */
  get suffix(): string {
    return suffixOf(this.name);
  }

  /** What it is: `"success"`, `"redirect"` or `"error"`. */
  get kind(): "success" | "redirect" | "error" {
    const { suffix } = this;
    return suffix === "response" ? "success" : suffix === "redirect" ? "redirect" : "error";
  }

  get isSuccess(): boolean {
    return this.kind === "success";
  }

  get isRedirect(): boolean {
    return this.kind === "redirect";
  }

  /** Everything that is neither success nor redirect. */
  get isError(): boolean {
    return this.kind === "error";
  }

  /** What kind of error it is; `"unknown"` for one that the protocol does not have, and `suffix` has its word. Undefined if it is none. */
  get errorType(): EventErrorType | "unknown" | undefined {
    if (!this.isError) return undefined;
    const { suffix } = this;
    return isErrorType(suffix) ? suffix : "unknown";
  }

  /** The `code` of an error's payload, if it has one. */
  get errorCode(): string | undefined {
    return this.isError ? text((this.payload as { code?: unknown } | null)?.code) : undefined;
  }

  /** The `parameters` of an error's payload, if it has some. */
  get errorParameters(): Record<string, unknown> | undefined {
    const parameters = this.isError ? (this.payload as { parameters?: unknown } | null)?.parameters : undefined;
    return typeof parameters === "object" && parameters !== null ? (parameters as Record<string, unknown>) : undefined;
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
function membersOf(what: string, given: EventInit | undefined): Members {
  checkOptionNames(what, given, MEMBERS);
  const init = given!;
  const { name, version = 1, id, flowId } = init;
  if (typeof name !== "string" || name === "")
    throw wrong("name", `text, such as get:user:name, and not ${formatValue(name)}`);
  checkVersion(version);
  const members: Members = { name, version };
  for (const [member, value] of [
    ["id", id],
    ["flowId", flowId],
  ] as const) {
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "") throw wrong(member, `text, and not ${formatValue(value)}`);
    members[member] = value;
  }
  for (const member of CARRIED) {
    if (init[member] === undefined) continue;
    const json = jsonOf(member, init[member]);
    if (member !== "payload" && json[0] !== "{") throw wrong(member, "an object");
    members[member] = json;
  }
  return members;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for what JSON cannot say. The message shows nothing of the value. */
export function jsonOf(member: string, value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (cause) {
    throw new FerryError("ERR_INVALID_ARGUMENT", `the ${member} of an event cannot be written as JSON`, {
      attribute: member,
      cause,
    });
  }
  if (json === undefined) throw wrong(member, "something that JSON can say");
  return json;
}

function wrong(member: string, what: string): FerryError {
  return new FerryError("ERR_INVALID_ARGUMENT", `the ${member} of an event is ${what}`, { attribute: member });
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkFlow(what: string, ids: unknown): asserts ids is FlowIds {
  const { id, flowId } = (ids ?? {}) as Partial<FlowIds>;
  if (typeof id !== "string" || typeof flowId !== "string")
    throw invalidArgument(
      `${what} is an event or the context of a handler, with id and flowId, and not ${formatValue(ids)}`,
    );
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function idText(value: unknown): string | undefined {
  return typeof value === "number" ? String(value) : text(value);
}
