// Fixtures of the outbox tests: events, a fake server, publishers, and stores that fail on demand. No network.
import { CloudEvent, memoryStore, Publisher } from "eventferry";

export const url = "https://example.com/events?access_token=s3cret";
export const event = (id, more = {}) =>
  new CloudEvent({ id: String(id), type: "t", source: "/s", time: null, data: { n: id }, ...more });
export const never = () => new Promise(() => {});

/** A server that gives these answers in turn, and the last one forever: a status, a Response, an Error to throw, or a function. */
export function server(...answers) {
  const requests = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    const body = new Uint8Array(await request.clone().arrayBuffer());
    const seen = { request, headers: request.headers, body, text: new TextDecoder().decode(body) };
    requests.push(seen);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (typeof answer === "function") return answer(seen);
    if (answer instanceof Error) throw answer;
    return typeof answer === "number"
      ? new Response(answer === 204 ? null : "error text of the server", { status: answer })
      : answer.clone();
  };
  /** The ids of the events of each request, in batch mode. */
  const ids = () => requests.map(({ text }) => JSON.parse(text).map(({ id }) => id));
  return { requests, fetch, ids };
}

/** A publisher with an outbox in memory and short retry delays. */
export function publisherTo({ fetch }, { outbox = {}, ...options } = {}) {
  return new Publisher({
    url,
    fetch,
    ...options,
    outbox: { store: memoryStore(), ...outbox, retry: { baseMs: 1, maxMs: 5, ...outbox.retry } },
  });
}

/** A store in memory that records its calls, and of which each can be replaced. */
export function storeWith(calls = {}) {
  const inner = memoryStore();
  const log = [];
  const store = { kind: "mine" };
  for (const name of ["open", "write", "peek", "dead", "count", "close"]) {
    store[name] = (...given) => {
      log.push([name, ...given]);
      return calls[name] ? calls[name](inner, ...given) : inner[name](...given);
    };
  }
  return Object.assign(store, { inner, log });
}

/** The scope with which the keys of a publisher's rows begin. */
export async function scopeIn(store, publisher) {
  publisher.outbox.pause();
  const session = publisher.session();
  session.publish(event("scope"));
  await session.flush();
  const [{ key }] = await store.peek({ events: 1, bytes: 1, skip: new Set() });
  await publisher.outbox.purge();
  publisher.outbox.resume();
  return key.split(".")[0];
}

/** Records the events of an outbox: `[type, detail]`. */
export function listen(outbox, ...types) {
  const events = [];
  for (const type of types) outbox.addEventListener(type, ({ detail }) => events.push([type, detail]));
  return events;
}

/** 0 if the counters balance. */
export const balance = ({ accepted, delivered, dead, pending, purged }) =>
  accepted - delivered - dead - pending - purged;

/** (module (func (export "f") unreachable)) */
const UNREACHABLE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
]);

/** Throws the error of a WebAssembly trap. */
export const trap = new WebAssembly.Instance(new WebAssembly.Module(UNREACHABLE)).exports.f;
