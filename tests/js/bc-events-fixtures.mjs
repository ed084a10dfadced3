// Shared by the tests of BriteEvents: topics, a scripted server, a client for it, and the error that a function throws.
import { memoryStore } from "eventferry";
import { BriteEventsClient } from "eventferry/bc-events";

export const API = "https://events.example.com/v1";
const object = { type: "object" };
export const topics = {
  DefaultCategory: "testing",
  Topics: [
    {
      Action: "Created",
      Entity: "Test",
      Schema: {
        type: "object",
        required: ["id", "url"],
        properties: { id: { type: "string", format: "uuid" }, url: { type: "string", format: "uri" } },
      },
    },
    {
      Action: "Deleted",
      Entity: "Test",
      Schema: {
        type: "object",
        required: ["id", "name"],
        properties: { id: { type: "string" }, name: { type: "string" } },
      },
    },
    { Action: "Created", Entity: "MyEntity", Schema: object },
    { Action: "Updated", Entity: "PolicyHolderAddress", Schema: object },
  ],
};

/**
 * A server that sends the given responses in turn and repeats the last one: a status, a pair of status and JSON, a
 * Response, an Error to throw, or a function of the request.
 */
export function server(...responses) {
  const requests = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    const text = await request.clone().text();
    const recorded = {
      path: new URL(request.url).pathname.replace(/^\/v1/, ""),
      job: request.headers.get("x-britecore-job-id"),
      headers: request.headers,
      text,
      body: JSON.parse(text),
    };
    requests.push(recorded);
    const response = responses.length > 1 ? responses.shift() : responses[0];
    if (typeof response === "function") return response(recorded);
    if (response instanceof Error) throw response;
    if (response instanceof Response) return response.clone();
    const [status, body] = Array.isArray(response) ? response : [response, { eventId: "e1", jobId: "j1" }];
    return new Response(status === 204 ? null : typeof body === "string" ? body : JSON.stringify(body), { status });
  };
  return { requests, fetch };
}

/** A client with an outbox in memory. */
export function clientTo({ fetch } = server(201), { outbox = {}, ...options } = {}) {
  return new BriteEventsClient({
    apiUrl: API,
    serviceName: "MyService",
    topics,
    fetch,
    ...options,
    outbox: { store: memoryStore(), ...outbox, retry: { baseMs: 1, maxMs: 5, ...outbox.retry } },
  });
}

/** The error that a function throws. */
export function thrown(body) {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error(`nothing was thrown by ${body}`);
}
