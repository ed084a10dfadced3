/**
 * As much of the REST API as events come in by.
 *
 * ```text
 *   POST /services/data/v68.0/sobjects/<Name>__e                      publishes a platform event
 *   POST /services/data/v68.0/sobjects/StreamingChannel               makes a generic channel
 *   GET  /services/data/v68.0/query?q=… FROM StreamingChannel …       finds the id of one, by its name
 *   POST /services/data/v68.0/sobjects/StreamingChannel/<id>/push     publishes to it
 * ```
 */
import { readBody } from "../../systems/cloudevents/body.js";
import { json } from "./json.js";
import { type Tokens, randomText } from "./tokens.js";

/** Publishes, and says to how many sessions the event went. */
export type Publish = (channel: string, content: unknown) => { reached: number; replayId: string | undefined };

const MAX_CHANNELS = 1000;
const MAX_PAYLOAD = 3000;

/** What is below `/services/data`. */
export class Rest {
  readonly #tokens: Tokens;
  readonly #publish: Publish;
  /** Names of generic channels by their id. */
  readonly #channels = new Map<string, string>();

  constructor(tokens: Tokens, publish: Publish) {
    this.#tokens = tokens;
    this.#publish = publish;
  }

  async handle(
    request: Request,
    url: URL,
    [version = "", resource = "", name = "", id = "", action = ""]: readonly string[],
  ): Promise<Response> {
    if (!this.#tokens.find(request.headers.get("authorization") ?? ""))
      return problem(401, "INVALID_SESSION_ID", "Session expired or invalid");
    if (!/^v\d{2,3}\.0$/.test(version)) return notFound();
    if (resource === "query" && request.method === "GET") return this.#query(url.searchParams.get("q") ?? "", version);
    if (resource !== "sobjects") return notFound();
    if (name === "StreamingChannel" && action === "push") return this.#push(request, id);
    if (request.method !== "POST" || id !== "") return notFound();
    const fields = await bodyOf(request);
    if (fields === undefined) return problem(400, "JSON_PARSER_ERROR", "The body is no JSON object");
    if (name === "StreamingChannel")
      return json(201, { id: this.#idOf(String(fields["Name"])), success: true, errors: [] });
    if (!name.endsWith("__e")) return notFound();
    const { replayId } = this.#publish(`/event/${name}`, fields);
    return json(201, {
      id: `e00xx${randomText(13).replace(/[._]/g, "0")}`,
      success: true,
      errors: [{ statusCode: "OPERATION_ENQUEUED", message: replayId, fields: [] }],
    });
  }

  #query(query: string, version: string): Response {
    const [, channel] = /from\s+StreamingChannel\b.*\bName\s*=\s*'([^']+)'/is.exec(query) ?? [];
    if (channel === undefined)
      return problem(400, "MALFORMED_QUERY", "The emulator finds StreamingChannel by Name and nothing else");
    const id = this.#idOf(channel);
    const attributes = { type: "StreamingChannel", url: `/services/data/${version}/sobjects/StreamingChannel/${id}` };
    return json(200, { totalSize: 1, done: true, records: [{ attributes, Id: id, Name: channel }] });
  }

  async #push(request: Request, id: string): Promise<Response> {
    const channel = this.#channels.get(id);
    if (channel === undefined) return notFound();
    if (request.method === "GET") return json(200, { OnlineUserIds: [], ChannelName: channel });
    const events = (await bodyOf(request))?.["pushEvents"];
    if (request.method !== "POST" || !Array.isArray(events))
      return problem(400, "JSON_PARSER_ERROR", "The body has no list pushEvents");
    const payloads = events.map((event: { payload?: unknown } | null) => event?.payload);
    if (payloads.some((payload) => typeof payload !== "string" || payload.length > MAX_PAYLOAD))
      return problem(400, "INVALID_FIELD", `A payload is a text of at most ${MAX_PAYLOAD} characters`);
    return json(
      200,
      payloads.map((payload) => ({ fanoutCount: this.#publish(channel, payload).reached, userOnlineStatus: {} })),
    );
  }

  #idOf(channel: string): string {
    for (const [id, name] of this.#channels) if (name === channel) return id;
    const id = `0M6D0000000${randomText(7).replace(/[._]/g, "0")}`;
    this.#channels.set(id, channel);
    if (this.#channels.size > MAX_CHANNELS) this.#channels.delete(this.#channels.keys().next().value!);
    return id;
  }
}

async function bodyOf(request: Request): Promise<Record<string, unknown> | undefined> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(await readBody(request)));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function notFound(): Response {
  return problem(404, "NOT_FOUND", "The requested resource does not exist");
}

function problem(status: number, errorCode: string, message: string): Response {
  return json(status, [{ errorCode, message }]);
}
