/** Requests and responses of the emulated management API: the routes of a resource, and how a body is read. */
import { readBody } from "../../systems/cloudevents/body.js";
import { TextDecoder } from "../../platform/text.js";
import { Refusal } from "./settings.js";

const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** A string is JSON text already. */
export interface Answer {
  status: number;
  body?: object | string;
}

/** Answers a request. `subject` is what the pattern of the route has captured, or `""`. */
export type Action = (subject: string, request: Request, query: URLSearchParams) => Answer | Promise<Answer>;

/** The methods of a path. */
export interface Route {
  pattern: RegExp;
  methods: Readonly<Record<string, Action>>;
}

/** The answer with status 200. */
export function ok(body: object): Answer {
  return { status: 200, body };
}

/** A response with a JSON body. */
export function json(status: number, body: object | string, headers: Record<string, string> = {}): Response {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Response(text, { status, headers: { "content-type": "application/json", ...headers } });
}

/** @throws {Refusal} 413 */
export async function textOf(request: Request): Promise<string> {
  return new TextDecoder().decode(await bodyOf(request));
}

async function bodyOf(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return (await readBody(request, { maxBytes: MAX_BODY_BYTES })) as Uint8Array<ArrayBuffer>;
  } catch {
    throw new Refusal(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
  }
}

/** @throws {Refusal} 400 */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Refusal(400, "the body is not JSON");
  }
}

/** @throws {Refusal} 400, 413 */
export async function jsonOf(request: Request): Promise<Record<string, unknown>> {
  const value = parsed(await textOf(request));
  if (typeof value !== "object" || value === null) throw new Refusal(400, "the body is not an object");
  return value as Record<string, unknown>;
}

/** @throws {Refusal} 400, 413 */
export async function formOf(request: Request): Promise<FormData> {
  const type = request.headers.get("content-type") ?? "";
  const body = await bodyOf(request);
  try {
    return await new Response(body, { headers: { "content-type": type } }).formData();
  } catch {
    throw new Refusal(400, "the body is not a form");
  }
}

/** A segment of a path, percent-decoded if it is valid. */
export function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
