/**
 * The part of the REST API that publishes events.
 *
 * ```text
 *   POST /services/data/v68.0/sobjects/<Name>__e                      publishes a platform event
 *   POST /services/data/v68.0/sobjects/StreamingChannel               creates a generic channel
 *   GET  /services/data/v68.0/query?q=… FROM StreamingChannel …       finds the id of one by its name
 *   POST /services/data/v68.0/sobjects/StreamingChannel/<id>/push     publishes to it
 * ```
 */
import { readBody } from "../../systems/cloudevents/body.js";
import { jsonResponse } from "./json.js";
import { type TokenStore, randomText } from "./tokens.js";
import { TextDecoder } from "../../platform/text.js";

/** Publishes an event. Returns the number of sessions that received it, and its replay id. */
export type Publish = (channel: string, content: unknown) => { sessionCount: number; replayId: string | undefined };

const MAX_CHANNELS = 1000;
const MAX_PAYLOAD_CHARS = 3000;

/** Answers requests below `/services/data`. */
export class RestApi {
  readonly #tokens: TokenStore;
  readonly #publish: Publish;
  /** Names of generic channels by id. */
  readonly #channels = new Map<string, string>();

  constructor(tokens: TokenStore, publish: Publish) {
    this.#tokens = tokens;
    this.#publish = publish;
  }

  async handle(
    request: Request,
    url: URL,
    [version = "", resource = "", name = "", id = "", action = ""]: readonly string[],
  ): Promise<Response> {
    if (!this.#tokens.find(request.headers.get("authorization") ?? ""))
      return errorResponse(401, "INVALID_SESSION_ID", "Session expired or invalid");
    if (!/^v\d{2,3}\.0$/.test(version)) return notFound();
    if (resource === "query" && request.method === "GET") return this.#query(url.searchParams.get("q") ?? "", version);
    if (resource !== "sobjects") return notFound();
    if (name === "StreamingChannel" && action === "push") return this.#push(request, id);
    if (request.method !== "POST" || id !== "") return notFound();
    const fields = await parseBody(request);
    if (fields === undefined) return errorResponse(400, "JSON_PARSER_ERROR", "The body must be a JSON object");
    if (name === "StreamingChannel")
      return jsonResponse(201, { id: this.#channelId(String(fields["Name"])), success: true, errors: [] });
    if (!name.endsWith("__e")) return notFound();
    const { replayId } = this.#publish(`/event/${name}`, fields);
    return jsonResponse(201, {
      id: `e00xx${randomText(13).replace(/[._]/g, "0")}`,
      success: true,
      errors: [{ statusCode: "OPERATION_ENQUEUED", message: replayId, fields: [] }],
    });
  }

  #query(query: string, version: string): Response {
    const [, channel] = /from\s+StreamingChannel\b.*\bName\s*=\s*'([^']+)'/is.exec(query) ?? [];
    if (channel === undefined)
      return errorResponse(400, "MALFORMED_QUERY", "The emulator supports only queries for StreamingChannel by Name");
    const id = this.#channelId(channel);
    const attributes = { type: "StreamingChannel", url: `/services/data/${version}/sobjects/StreamingChannel/${id}` };
    return jsonResponse(200, { totalSize: 1, done: true, records: [{ attributes, Id: id, Name: channel }] });
  }

  async #push(request: Request, id: string): Promise<Response> {
    const channel = this.#channels.get(id);
    if (channel === undefined) return notFound();
    if (request.method === "GET") return jsonResponse(200, { OnlineUserIds: [], ChannelName: channel });
    const events = (await parseBody(request))?.["pushEvents"];
    if (request.method !== "POST" || !Array.isArray(events))
      return errorResponse(400, "JSON_PARSER_ERROR", "The body must contain an array pushEvents");
    const payloads = events.map((event: { payload?: unknown } | null) => event?.payload);
    if (payloads.some((payload) => typeof payload !== "string" || payload.length > MAX_PAYLOAD_CHARS))
      return errorResponse(400, "INVALID_FIELD", `payload must be a string of at most ${MAX_PAYLOAD_CHARS} characters`);
    return jsonResponse(
      200,
      payloads.map((payload) => ({ fanoutCount: this.#publish(channel, payload).sessionCount, userOnlineStatus: {} })),
    );
  }

  #channelId(channel: string): string {
    for (const [id, name] of this.#channels) if (name === channel) return id;
    const id = `0M6D0000000${randomText(7).replace(/[._]/g, "0")}`;
    this.#channels.set(id, channel);
    if (this.#channels.size > MAX_CHANNELS) this.#channels.delete(this.#channels.keys().next().value!);
    return id;
  }
}

async function parseBody(request: Request): Promise<Record<string, unknown> | undefined> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(await readBody(request)));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function notFound(): Response {
  return errorResponse(404, "NOT_FOUND", "The requested resource does not exist");
}

function errorResponse(status: number, errorCode: string, message: string): Response {
  return jsonResponse(status, [{ errorCode, message }]);
}
