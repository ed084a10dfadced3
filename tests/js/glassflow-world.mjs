// What the tests of GlassFlow share: a server of the test, clients of it, and a clock that jumps. No network, no sleeps.
import { createEmulator } from "eventferry/testing";
import { PipelineDataSink, PipelineDataSource } from "eventferry/glassflow";

export const TOKEN = "t0ken-that-nobody-may-see";
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

/** A server that gives these answers in turn, and the last one for ever: a status, an object as JSON, a Response, an Error to throw, or a function. */
export function server(...answers) {
  const requests = [];
  const fetch = async (request) => {
    requests.push({
      method: request.method,
      url: request.url,
      headers: Object.fromEntries(request.headers),
      body: await request.text(),
      at: performance.now(),
      signal: request.signal,
    });
    let answer = answers.length > 1 ? answers.shift() : answers[0];
    if (typeof answer === "function") answer = await answer(request);
    if (answer instanceof Error) throw answer;
    if (answer instanceof Response) return answer.bodyUsed ? answer : answer.clone();
    return typeof answer === "number"
      ? new Response(answer === 204 ? null : '{"detail":"words of the server"}', { status: answer })
      : Response.json(answer);
  };
  return { requests, fetch };
}

export const sourceTo = ({ fetch }, options = {}) =>
  new PipelineDataSource({ pipelineId: "pipe-1", pipelineAccessToken: TOKEN, baseUrl: BASE, fetch, ...options });
export const sinkOf = ({ fetch }, options = {}) =>
  new PipelineDataSink({ pipelineId: "pipe-1", pipelineAccessToken: TOKEN, baseUrl: BASE, fetch, ...options });

/** An emulator with a pipeline, and clients of it that hardly rest. */
export function world(pipelineOptions = {}, { source = {}, sink = {} } = {}) {
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

/** Puts a clock that jumps in place of the real one: whenever nothing else happens, the next timer is due. `restore` ends it. */
export function jumpingClock() {
  const real = { setTimeout, clearTimeout, now: performance.now };
  const timers = new Map();
  let now = 1_000_000;
  let count = 0;
  let isOver = false;
  globalThis.setTimeout = (callback, ms = 0, ...given) => {
    timers.set(++count, { at: now + Math.max(0, ms), callback: () => callback(...given) });
    return count;
  };
  globalThis.clearTimeout = (timer) => void timers.delete(timer);
  performance.now = () => now;
  const pause = (rounds) =>
    new Promise((resolve) => (rounds === 0 ? resolve() : setImmediate(() => pause(rounds - 1).then(resolve))));
  const run = async () => {
    while (!isOver) {
      // As many turns as an answer takes from the server to whoever waits for it, and some more.
      await pause(8);
      const [id, timer] = [...timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (!timer || isOver) continue;
      timers.delete(id);
      now = Math.max(now, timer.at);
      timer.callback();
    }
  };
  void run();
  return {
    /** How long the rests between requests were, in milliseconds. */
    rests: (requests) => requests.slice(1).map(({ at }, index) => at - requests[index].at),
    restore() {
      isOver = true;
      Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
      performance.now = real.now;
    },
  };
}
