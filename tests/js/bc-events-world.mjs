// What the tests of BriteEvents share: topics, a server of the test, and how to get what is thrown. No network, no clock.
import { memoryStore } from "../../dist/entries/index.js";
import { EventClient } from "../../dist/entries/bc-events.js";

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
 * A server that gives these answers in turn, and the last one for ever: a status, a pair of status and JSON, a Response, an Error to throw, or a
 * function of the request.
 */
export function server(...answers) {
  const requests = [];
  const fetch = async (request) => {
    const text = await request.clone().text();
    const seen = {
      path: new URL(request.url).pathname.replace(/^\/v1/, ""),
      job: request.headers.get("x-britecore-job-id"),
      headers: request.headers,
      text,
      body: JSON.parse(text),
    };
    requests.push(seen);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (typeof answer === "function") return answer(seen);
    if (answer instanceof Error) throw answer;
    if (answer instanceof Response) return answer.clone();
    const [status, body] = Array.isArray(answer) ? answer : [answer, { eventId: "e1", jobId: "j1" }];
    return new Response(status === 204 ? null : typeof body === "string" ? body : JSON.stringify(body), { status });
  };
  return { requests, fetch };
}

/** A client with an outbox in memory that rests for next to no time. */
export function clientTo({ fetch } = server(201), { outbox = {}, ...options } = {}) {
  return new EventClient({
    apiUrl: API,
    serviceName: "MyService",
    topics,
    fetch,
    ...options,
    outbox: { store: memoryStore(), ...outbox, retry: { baseMs: 1, maxMs: 5, ...outbox.retry } },
  });
}

export function thrown(body) {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error(`nothing was thrown by ${body}`);
}
