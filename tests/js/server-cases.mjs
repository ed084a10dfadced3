// What every server with `toNodeHandler` must do, whatever the framework. `tests/js/node-server.test.mjs` runs it with
// `node:http` alone, `tests/runtimes/servers.mjs` with the frameworks, and with Deno and Bun.
//
//   start({ handle, read }) serves the fetch handler `handle` at /hooks and the listener `read(request, response)` at /read,
//   and resolves to { port, close }
import assert from "node:assert/strict";
import { connect } from "node:net";
import { CloudEvent, toBatch, toBinary, toStructured, webhook } from "eventferry/cloudevents";
import { fromIncoming } from "eventferry/node";

const MAX_BYTES = 10_000;
const event = new CloudEvent({
  type: "com.example.made",
  source: "/shops/7",
  subject: "Å %",
  data: { text: "Euro € 😀" },
});

/** The cases as [name, async function (start)]. */
export const SERVER_CASES = [
  ["events arrive in all three content modes", threeModes],
  ["the handshake is answered, and an origin that is not allowed gets no consent", handshake],
  ["a body above the limit is answered with 413, whether its length is known or not", tooLarge],
  ["an endless body is answered with 413, and its connection ends", endless],
  ["an aborted upload is reported, and the server goes on", abortedUpload],
  ["200 requests at once are all answered", manyAtOnce],
  ["malformed bodies are answered with 400 and a reason", malformed],
  ["the signal aborts when the client leaves", clientLeaves],
  ["a handler that throws costs its request alone", throwing],
  ["fromIncoming reads the event of an unread request, up to the limit", reading],
];

/** A server with a receiver of web hooks, and what it was told. */
async function receiver(start, options = {}) {
  const told = { requests: [], events: [], rejected: [], errors: [] };
  const handle = webhook({
    allowedOrigins: ["sender.example"],
    maxBytes: MAX_BYTES,
    onEvent: (event) => void told.events.push(event),
    onRejected: (error) => told.rejected.push(error),
    onError: (error) => told.errors.push(error),
    ...options,
  });
  const counted = (request, ...more) => {
    told.requests.push(request.url);
    return handle(request, ...more);
  };
  const server = await start({ handle: counted, read });
  return { ...told, ...server, url: `http://127.0.0.1:${server.port}` };
}

/** Answers with the id of the event, or with the code of the error. */
async function read(request, response) {
  let text;
  try {
    text = (await fromIncoming(request, { maxBytes: MAX_BYTES })).id;
  } catch (error) {
    text = error.code ?? String(error);
  }
  response.end(text);
}

/** Runs `use` with a receiver, and closes it. */
async function withReceiver(start, options, use) {
  const server = await receiver(start, options);
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

const post = (url, message, path = "/hooks") => fetch(url + path, { method: "POST", ...message });
const statusOf = async (response) => [(await response).status, await (await response).text()];

async function stillServes(url, events) {
  const before = events.length;
  assert.deepEqual(await statusOf(post(url, toBinary(event))), [204, ""]);
  assert.equal(events.length, before + 1);
}

async function threeModes(start) {
  await withReceiver(start, {}, async ({ url, events }) => {
    for (const message of [toBinary(event), toStructured(event), toBatch([event, event.with({ id: "2" })])])
      assert.deepEqual(await statusOf(post(url, message)), [204, ""]);
    assert.deepEqual(
      events.map(({ id }) => id),
      [event.id, event.id, event.id, "2"],
    );
    for (const received of events.slice(0, 3)) assert.ok(received.equals(event));
  });
}

async function handshake(start) {
  await withReceiver(start, {}, async ({ url }) => {
    const ask = (origin) =>
      fetch(`${url}/hooks`, {
        method: "OPTIONS",
        headers: { "webhook-request-origin": origin, "webhook-request-rate": "50" },
      });
    const granted = await ask("sender.example");
    assert.equal(granted.status, 200);
    assert.equal(granted.headers.get("webhook-allowed-origin"), "sender.example");
    assert.equal(granted.headers.get("webhook-allowed-rate"), "50");
    assert.equal((await ask("other.example")).headers.get("webhook-allowed-origin"), null);
  });
}

async function tooLarge(start) {
  await withReceiver(start, {}, async ({ url, events, rejected }) => {
    const reason = `the body is larger than the limit of ${MAX_BYTES} bytes\n`;
    const { headers } = toStructured(event);
    const text = " ".repeat(200_000) + event;
    assert.deepEqual(await statusOf(post(url, { headers, body: text })), [413, reason]);
    const stream = new Blob([text]).stream();
    assert.deepEqual(await statusOf(post(url, { headers, body: stream, duplex: "half" })), [413, reason]);
    assert.deepEqual(
      rejected.map(({ code, status }) => [code, status]),
      [
        ["ERR_TOO_LARGE", 413],
        ["ERR_TOO_LARGE", 413],
      ],
    );
    await stillServes(url, events);
  });
}

/** A connection with the head of a request. */
function open(port, ...head) {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  socket.write(`${["POST /hooks HTTP/1.1", "Host: x", ...head].join("\r\n")}\r\n\r\n`);
  const includes = async (part) => {
    while (!text.includes(part)) await pause();
  };
  return { socket, closed, includes };
}
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
const STRUCTURED = "Content-Type: application/cloudevents+json";

async function endless(start) {
  await withReceiver(start, {}, async ({ url, port, events }) => {
    const { socket, closed, includes } = open(port, STRUCTURED, "Transfer-Encoding: chunked");
    const chunk = `400\r\n${"x".repeat(1024)}\r\n`;
    const timer = setInterval(() => socket.write(chunk), 2);
    await includes("413 ");
    await stillServes(url, events);
    await closed;
    clearInterval(timer);
  });
}

async function abortedUpload(start) {
  await withReceiver(start, {}, async ({ url, port, requests, events, rejected }) => {
    for (const head of ["Content-Length: 5000", "Transfer-Encoding: chunked"]) {
      const { socket } = open(port, STRUCTURED, head);
      socket.write(head.startsWith("C") ? '{"specversion":' : '10\r\n{"specversion":\r\n');
      const count = requests.length;
      // A connection that breaks earlier takes its request along.
      while (requests.length === count) await pause();
      socket.destroy();
    }
    while (rejected.length < 2) await pause();
    assert.deepEqual(
      rejected.map(({ code }) => code),
      ["ERR_NETWORK", "ERR_NETWORK"],
    );
    await stillServes(url, events);
  });
}

async function manyAtOnce(start) {
  const onEvent = () => new Promise((resolve) => setTimeout(resolve, 20));
  let count = 0;
  await withReceiver(start, { onEvent: () => onEvent(count++) }, async ({ url }) => {
    const answers = Array.from({ length: 200 }, (_, at) => {
      const one = event.with({ id: `e${at}` });
      return statusOf(post(url, at % 2 ? toBinary(one) : toStructured(one)));
    });
    for (const answer of await Promise.all(answers)) assert.deepEqual(answer, [204, ""]);
    assert.equal(count, 200);
  });
}

async function malformed(start) {
  await withReceiver(start, {}, async ({ url, events, errors }) => {
    const structured = (body) => ({ headers: toStructured(event).headers, body });
    const attributes = '"specversion":"1.0","id":"1","source":"/s","type":"t"';
    for (const [body, reason] of [
      ["{", /JSON/],
      [`{${attributes},"data_base64":"a"}`, /[Bb]ase64/],
      ['{"specversion":"1.0","id":"1","source":"/s"}', /"type"/],
      [Uint8Array.of(0x7b, 0xff, 0x7d), /UTF-8|JSON/],
    ]) {
      const [status, text] = await statusOf(post(url, structured(body)));
      assert.equal(status, 400, text);
      assert.match(text, reason);
    }
    await stillServes(url, events);
    assert.deepEqual(errors, []);
  });
}

async function clientLeaves(start) {
  let signal;
  const onEvent = (_, context) => {
    ({ signal } = context);
    return new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
  await withReceiver(start, { onEvent }, async ({ url }) => {
    const aborter = new AbortController();
    const request = post(url, { ...toBinary(event), signal: aborter.signal });
    request.catch(() => undefined);
    while (!signal) await pause();
    assert.equal(signal.aborted, false);
    aborter.abort();
    while (!signal.aborted) await pause();
    await assert.rejects(request);
  });
}

async function throwing(start) {
  const handle = (request) => {
    if (request.headers.get("x-kind") === "nothing") return undefined;
    if (request.headers.get("x-kind") === "throw") throw new Error("on purpose");
    return new Response("fine");
  };
  const { port, close } = await start({ handle, read });
  const send = (kind) => post(`http://127.0.0.1:${port}`, { headers: { "x-kind": kind }, body: "{}" });
  try {
    for (const kind of ["throw", "nothing"]) assert.equal((await send(kind)).status, 500);
    assert.deepEqual(await statusOf(send("none")), [200, "fine"]);
  } finally {
    await close();
  }
}

async function reading(start) {
  await withReceiver(start, {}, async ({ url }) => {
    for (const message of [toBinary(event), toStructured(event)])
      assert.deepEqual(await statusOf(post(url, message, "/read")), [200, event.id]);
    const { headers } = toStructured(event);
    const large = { headers, body: " ".repeat(50_000) + event };
    assert.deepEqual(await statusOf(post(url, large, "/read")), [200, "ERR_TOO_LARGE"]);
    assert.deepEqual(await statusOf(post(url, { body: "?" }, "/read")), [200, "ERR_NOT_A_CLOUDEVENT"]);
  });
}
