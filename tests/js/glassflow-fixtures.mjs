// What the tests of GlassFlow share: a scripted server, an emulated pipeline, and clients. No network, no sleeps.
import { createEmulator } from "eventferry/testing";
import { PipelineDataSink, PipelineDataSource } from "eventferry/glassflow";
import { monotonicNow } from "../../dist/platform/clock.js";

export const TOKEN = "t0ken-that-must-stay-secret";
export const BASE = "https://example.com/v1";
export const bytes = (text) => new TextEncoder().encode(text);
export const text = (bytes) => new TextDecoder().decode(bytes);

/** The body of a consumed event. */
export function consumed(more = {}) {
  const context = { request_id: "r-1", external_id: "x-1", receive_time: "2024-09-23T07:28:27.958Z" };
  return {
    req_id: "r-1",
    receive_time: context.receive_time,
    payload: { a: 1 },
    event_context: context,
    status: "success",
    response: { a: 1, b: 2 },
    ...more,
  };
}

/**
 * A server that gives these responses in order and repeats the last one. A response is a status, an object that is sent
 * as JSON, a Response, an Error to throw, or a function that returns one of these.
 */
export function server(...responses) {
  const requests = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    requests.push({
      method: request.method,
      url: request.url,
      headers: Object.fromEntries(request.headers),
      body: await request.text(),
      at: monotonicNow(),
      // Not that of the request: Node collects it with the request.
      signal: args[1].signal,
    });
    let response = responses.length > 1 ? responses.shift() : responses[0];
    if (typeof response === "function") response = await response(request);
    if (response instanceof Error) throw response;
    if (response instanceof Response) return response.bodyUsed ? response : response.clone();
    return typeof response === "number"
      ? new Response(response === 204 ? null : '{"detail":"detail from the server"}', { status: response })
      : Response.json(response);
  };
  return { requests, fetch };
}

export const sourceTo = ({ fetch }, options = {}) =>
  new PipelineDataSource({ pipelineId: "pipe-1", pipelineAccessToken: TOKEN, baseUrl: BASE, fetch, ...options });
export const sinkOf = ({ fetch }, options = {}) =>
  new PipelineDataSink({ pipelineId: "pipe-1", pipelineAccessToken: TOKEN, baseUrl: BASE, fetch, ...options });

/** An emulator with one pipeline, and clients of it with short delays. */
export function emulatedPipeline(pipelineOptions = {}, { source = {}, sink = {} } = {}) {
  const emulator = createEmulator();
  const pipeline = emulator.glassflow.createPipeline({ id: "pipe-1", accessTokens: [TOKEN], ...pipelineOptions });
  const options = { baseUrl: "http://emulator/glassflow/v1" };
  return {
    emulator,
    pipeline,
    source: sourceTo(emulator, { ...options, ...source }),
    sink: sinkOf(emulator, { ...options, backoff: { baseMs: 1, maxMs: 2 }, ...sink }),
  };
}

/** The delays between requests, in milliseconds. */
export const delaysBetween = (requests) => requests.slice(1).map(({ at }, index) => at - requests[index].at);
