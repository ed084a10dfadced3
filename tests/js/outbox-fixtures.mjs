// What the tests of the outbox share: a server of the test, events, stores that fail when told to. No network, no clock.
import { CloudEvent, Publisher, memoryStore } from "eventferry";

export const url = "https://example.com/events?access_token=s3cret";
export const event = (id, more = {}) =>
  new CloudEvent({ id: String(id), type: "t", source: "/s", time: null, data: { n: id }, ...more });
export const rest = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
export const never = () => new Promise(() => {});

/** Waits for something that comes about without a promise. */
export async function until(isTrue, ms = 2000) {
  for (const end = Date.now() + ms; !isTrue(); ) {
    if (Date.now() > end) throw new Error(`it did not come about: ${isTrue}`);
    await rest(2);
  }
}

/** A server that gives these answers in turn, and the last one for ever: a status, a Response, an Error to throw, or a function. */
export function server(...answers) {
  const requests = [];
  const fetch = async (request) => {
    const body = new Uint8Array(await request.clone().arrayBuffer());
    const seen = { request, headers: request.headers, body, text: new TextDecoder().decode(body) };
    requests.push(seen);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (typeof answer === "function") return answer(seen);
    if (answer instanceof Error) throw answer;
    return typeof answer === "number"
      ? new Response(answer === 204 ? null : "words of the server", { status: answer })
      : answer.clone();
  };
  /** Ids of each request in batch mode. */
  const ids = () => requests.map(({ text }) => JSON.parse(text).map(({ id }) => id));
  return { requests, fetch, ids };
}

/** A publisher that has an outbox in memory and rests for next to no time. */
export function publisherTo({ fetch }, { outbox = {}, ...options } = {}) {
  return new Publisher({
    url,
    fetch,
    ...options,
    outbox: { store: memoryStore(), ...outbox, retry: { baseMs: 1, maxMs: 5, ...outbox.retry } },
  });
}

/** A store in memory whose calls can be replaced, and that notes them. */
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

/** Everything that an outbox tells. */
export function listen(outbox, ...types) {
  const told = [];
  for (const type of types) outbox.addEventListener(type, ({ detail }) => told.push([type, detail]));
  return told;
}

export const balance = ({ accepted, delivered, dead, pending, purged }) =>
  accepted - delivered - dead - pending - purged;
