/** Requests and responses as immutable objects. Payload, identity, auth and metadata stay text until they are read. */
import { freshId } from "../../platform/uuid.js";
import type { EventRef, Members } from "./engine.js";
import { type EventInit, type FlowIds, type JsonMember, validateInit } from "./event-init.js";
import { type EventErrorType, isErrorType, suffixOf } from "./names.js";
import { type EventSchema, validate } from "./schema.js";

let readMemberJson: (event: ProtocolEvent, member: JsonMember) => string;

/** The JSON text of a member. */
export function memberJson(event: ProtocolEvent, member: JsonMember): string {
  return readMemberJson(event, member);
}

/** The common part of requests and responses. Immutable, apart from the objects that its getters return. */
export abstract class ProtocolEvent<T = unknown> implements EventRef {
  /** The name, such as `get:user:name`. */
  readonly name: string;
  /** The version of the event. */
  readonly version: number;
  /** The id of the event. */
  readonly id: string;
  /** The id of the flow that the event belongs to. */
  readonly flowId: string;
  /** Private, so that logs and debuggers do not show `auth`. */
  readonly #json: Readonly<Record<JsonMember, string>>;
  readonly #values: Partial<Record<JsonMember, unknown>> = {};

  static {
    readMemberJson = (event, member) => event.#json[member];
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
    this.#json = { payload, identity, auth, metadata };
  }

  /** The content. Parsed on first read, then cached. */
  get payload(): T {
    return this.#read("payload") as T;
  }

  /** The sender. */
  get identity(): Record<string, unknown> {
    return this.#read("identity") as Record<string, unknown>;
  }

  /** The credentials of the sender. No log shows them unless the application logs them. */
  get auth(): Record<string, unknown> {
    return this.#read("auth") as Record<string, unknown>;
  }

  /** Facts about the event. */
  get metadata(): Record<string, unknown> {
    return this.#read("metadata") as Record<string, unknown>;
  }

  /** The JSON text of the payload as received, with every digit of every number. */
  get payloadText(): string {
    return this.#json.payload;
  }

  /** `identity.userId` or `identity.user.id`; a number becomes a string. */
  get userId(): string | undefined {
    const { userId, user } = this.identity;
    return idToString(userId) ?? idToString((user as { id?: unknown } | undefined)?.id);
  }

  /** `identity.user.type` */
  get userType(): string | undefined {
    return stringOrUndefined((this.identity["user"] as { type?: unknown } | undefined)?.type);
  }

  /** `metadata.origin` */
  get origin(): string | undefined {
    return stringOrUndefined(this.metadata["origin"]);
  }

  /** The payload, validated and converted by a schema. @throws {MissingEventInformationException} if it is invalid */
  payloadAs<U>(schema: EventSchema<U>): Promise<U> {
    return validate(schema, this.payload);
  }

  /** The identity, validated and converted by a schema. @throws {MissingEventInformationException} if it is invalid */
  identityAs<U>(schema: EventSchema<U>): Promise<U> {
    return validate(schema, this.identity);
  }

  /** `auth`, validated and converted by a schema. @throws {MissingEventInformationException} if it is invalid */
  authAs<U>(schema: EventSchema<U>): Promise<U> {
    return validate(schema, this.auth);
  }

  /** All members, with an empty `auth`, because `JSON.stringify` is often used for logs. */
  toJSON(): Record<string, unknown> {
    const { name, version, id, flowId, payload, identity, metadata } = this;
    return { name, version, id, flowId, payload, identity, auth: {}, metadata };
  }

  /** The event as JSON text as it is sent, with its `auth`. */
  toText(): string {
    const { payload, identity, auth, metadata } = this.#json;
    const [name, id, flowId] = [this.name, this.id, this.flowId].map((text) => JSON.stringify(text));
    const ids = `"name":${name},"version":${this.version},"id":${id},"flowId":${flowId}`;
    return `{${ids},"payload":${payload},"identity":${identity},"auth":${auth},"metadata":${metadata}}`;
  }

  #read(member: JsonMember): unknown {
    if (!(member in this.#values)) this.#values[member] = JSON.parse(this.#json[member]);
    return this.#values[member];
  }
}

/** A request. */
export class RequestEvent<T = unknown> extends ProtocolEvent<T> {
  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the wrong member as `attribute` */
  constructor(init: EventInit);
  /** @internal A received event, which the engine has checked. */
  constructor(init: undefined, members: Members);
  constructor(init: EventInit | undefined, members?: Members) {
    super(init === undefined && members ? members : validateInit("RequestEvent", init));
  }
}

/** The response to a request. */
export class ResponseEvent<T = unknown> extends ProtocolEvent<T> {
  /** The HTTP status, if the response came over HTTP. */
  declare readonly status?: number;
  /** Whether the peer left out `id` or `flowId`, and the ids of the request were filled in. */
  declare readonly hasRequestIds?: boolean;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the wrong member as `attribute` */
  constructor(init: EventInit);
  /** @internal A response that was received over HTTP to this request. */
  constructor(init: undefined, members: Members, status: number, request: FlowIds);
  constructor(init: EventInit | undefined, members?: Members, status?: number, request?: FlowIds) {
    const isReceived = init === undefined && members !== undefined;
    super(isReceived ? { id: request!.id, flowId: request!.flowId, ...members } : validateInit("ResponseEvent", init));
    if (!isReceived) return;
    this.status = status!;
    this.hasRequestIds = members.id === undefined || members.flowId === undefined;
  }

  /** The last part of the name, which gives the outcome. */
  get suffix(): string {
    return suffixOf(this.name);
  }

  /** The kind of outcome. */
  get kind(): "success" | "redirect" | "error" {
    const { suffix } = this;
    return suffix === "response" ? "success" : suffix === "redirect" ? "redirect" : "error";
  }

  /** Whether the suffix is `response`. */
  get isSuccess(): boolean {
    return this.kind === "success";
  }

  /** Whether the suffix is `redirect`. */
  get isRedirect(): boolean {
    return this.kind === "redirect";
  }

  /** Whether the suffix is neither `response` nor `redirect`. */
  get isError(): boolean {
    return this.kind === "error";
  }

  /** The type of error; `"unknown"` if the protocol does not have it, see `suffix`; undefined if it is not an error. */
  get errorType(): EventErrorType | "unknown" | undefined {
    if (!this.isError) return undefined;
    const { suffix } = this;
    return isErrorType(suffix) ? suffix : "unknown";
  }

  /** The `code` in the payload of an error, if it has one. */
  get errorCode(): string | undefined {
    return this.isError ? stringOrUndefined((this.payload as { code?: unknown } | null)?.code) : undefined;
  }

  /** The `parameters` in the payload of an error, if they are an object. */
  get errorParameters(): Record<string, unknown> | undefined {
    const parameters = this.isError ? (this.payload as { parameters?: unknown } | null)?.parameters : undefined;
    return typeof parameters === "object" && parameters !== null ? (parameters as Record<string, unknown>) : undefined;
  }
}

function stringOrUndefined(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function idToString(value: unknown): string | undefined {
  return typeof value === "number" ? String(value) : stringOrUndefined(value);
}
