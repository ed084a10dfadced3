/**
 * Events of AWS Lambda that are HTTP requests:
 *
 * | source | `version` | method | target | headers |
 * |---|---|---|---|---|
 * | function URL, HTTP API | `"2.0"` | `requestContext.http.method` | `rawPath`, `rawQueryString` | joined by commas; `cookies` |
 * | REST API, and HTTP API with format 1.0 | absent or `"1.0"` | `httpMethod` | `path`, `multiValueQueryStringParameters` | `multiValueHeaders` |
 */
import { FerryError } from "../../../engine/errors.js";
import { mustBe } from "../../../engine/messages.js";
import { fromBase64 } from "../bytes.js";

type Values<T> = Readonly<Record<string, T | undefined>> | null | undefined;

/** A request of a function URL or API Gateway. */
export interface LambdaHttpEvent {
  /** The payload format: `"1.0"` or `"2.0"`. REST APIs have none. */
  readonly version?: string | undefined;
  /** In format 2.0, several values of a header are joined by commas. */
  readonly headers?: Values<string>;
  /** The body, as text or as Base64. */
  readonly body?: string | null | undefined;
  /** Whether `body` is Base64. */
  readonly isBase64Encoded?: boolean | undefined;
  /** Format 2.0: the path, percent-encoded. */
  readonly rawPath?: string | undefined;
  /** Format 2.0: the query without its question mark. */
  readonly rawQueryString?: string | undefined;
  /** Format 2.0: the cookies, which are not in `headers`. */
  readonly cookies?: readonly string[] | undefined;
  /** Has the method in format 2.0. */
  readonly requestContext?: unknown;
  /** Format 1.0: the method. */
  readonly httpMethod?: string | undefined;
  /** Format 1.0: the path. */
  readonly path?: string | undefined;
  /** Format 1.0: the headers with all their values. */
  readonly multiValueHeaders?: Values<readonly string[]>;
  /** Format 1.0: the parameters of the query, each with its last value. */
  readonly queryStringParameters?: Values<string>;
  /** Format 1.0: the parameters of the query with all their values. */
  readonly multiValueQueryStringParameters?: Values<readonly string[]>;
}

/** Whether the event has payload format 1.0. */
export function isV1(event: LambdaHttpEvent): boolean {
  return typeof event.httpMethod === "string";
}

/**
 * The event as a Request.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an event of another trigger; `ERR_INVALID_DATA` for a body that is not
 * Base64 although the event says so; `ERR_NOT_A_CLOUDEVENT` for what no Request can have.
 */
export function toLambdaRequest(event: LambdaHttpEvent): Request {
  const { http } = (event?.requestContext ?? {}) as { http?: { method?: unknown } };
  const method = event?.httpMethod ?? http?.method;
  if (typeof method !== "string")
    throw mustBe(
      "event",
      "an event of a function URL or of API Gateway",
      event,
      "records of MSK and Kafka are read with fromMessage",
    );
  const headers = new Headers();
  try {
    for (const [name, value] of headersOf(event)) headers.append(name, value);
    const host = headers.get("host") ?? "localhost";
    const hasBody = method !== "GET" && method !== "HEAD";
    const body = hasBody ? bodyOf(event) : undefined;
    return new Request(`https://${host}${targetOf(event)}`, { method, headers, body: body ?? null });
  } catch (cause) {
    if (cause instanceof FerryError) throw cause;
    throw new FerryError("ERR_NOT_A_CLOUDEVENT", "a Request cannot represent the method, target or headers", { cause });
  }
}

function* headersOf({ headers, multiValueHeaders, cookies }: LambdaHttpEvent): Generator<[string, string]> {
  const several = multiValueHeaders ?? {};
  for (const [name, values] of Object.entries(several)) for (const value of values ?? []) yield [name, value];
  // Format 1.0 has each header in both; a test event may have it in one.
  const names = new Set(Object.keys(several).map((name) => name.toLowerCase()));
  for (const [name, value] of Object.entries(headers ?? {}))
    if (value !== undefined && !names.has(name.toLowerCase())) yield [name, value];
  if (cookies?.length) yield ["cookie", cookies.join("; ")];
}

function targetOf(event: LambdaHttpEvent): string {
  const path = (isV1(event) ? event.path : event.rawPath) || "/";
  const query = isV1(event) ? queryOfV1(event) : event.rawQueryString;
  return `${path.startsWith("/") ? "" : "/"}${path}${query ? `?${query}` : ""}`;
}

function queryOfV1(event: LambdaHttpEvent): string {
  const query = new URLSearchParams();
  const several = event.multiValueQueryStringParameters ?? {};
  for (const [name, values] of Object.entries(several)) for (const value of values ?? []) query.append(name, value);
  for (const [name, value] of Object.entries(event.queryStringParameters ?? {}))
    if (value !== undefined && !(name in several)) query.append(name, value);
  return query.toString();
}

function bodyOf({ body, isBase64Encoded }: LambdaHttpEvent): string | Uint8Array<ArrayBuffer> | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body !== "string") throw mustBe("event.body", "a string", body, "Lambda passes JSON as its text");
  // As bytes: a Request adds a media type to text that has none.
  if (!isBase64Encoded) return new TextEncoder().encode(body);
  try {
    return fromBase64(body) as Uint8Array<ArrayBuffer>;
  } catch (cause) {
    throw new FerryError("ERR_INVALID_DATA", "the body is not Base64, although isBase64Encoded is true", { cause });
  }
}
