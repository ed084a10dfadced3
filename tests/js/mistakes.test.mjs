// Plausible mistakes of newcomers: the message names the remedy.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { test } from "node:test";
import {
  BayeuxClient,
  CloudEvent,
  EventBatch,
  fromHttp,
  fromMessage,
  fromRequest,
  memoryStore,
  PipelineDataSource,
  Publisher,
  SalesforceClient,
  sessionAuth,
  tokenAuth,
  toBatch,
  toBinary,
  toMessage,
  toRequest,
  webhook,
} from "eventferry";
import { EventClient as BriteEventsClient } from "eventferry/bc-events";
import { EventClient as EventsProtocolClient, EventRegistry } from "eventferry/events-protocol";
import { createEmulator } from "eventferry/testing";

const base = { type: "t", source: "/s" };
const url = "https://example.com/";
const received = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };
const event = new CloudEvent(base);
const fetch202 = async () => new Response(null, { status: 202 });
const publisher = new Publisher({ url, fetch: fetch202, outbox: { store: "memory" } });
const pipeline = { pipelineId: "p", pipelineAccessToken: "t" };
const topics = { DefaultCategory: "shop", Topics: [{ Action: "Created", Entity: "Order", Schema: {} }] };
const brite = { apiUrl: url, serviceName: "s", topics };
const instance = { instanceUrl: url };

const MISTAKES = {
  "retry is a number": [
    () => new Publisher({ url, retry: 3 }),
    "retry must be an object; received 3; pass { attempts: 3 }",
  ],
  "retry is switched off with false": [
    () => new Publisher({ url, retry: false }),
    "retry must be an object; received false; pass { attempts: 1 }",
  ],
  "an option of retry one level too high": [
    () => new Publisher({ url, attempts: 3 }),
    'a Publisher has no option "attempts"; did you mean retry.attempts?',
  ],
  "an option of retry with the name of another library, too high": [
    () => new Publisher({ url, retries: 3 }),
    'a Publisher has no option "retries"; did you mean retry.attempts?',
  ],
  "an option of retry with the name of another library": [
    () => new Publisher({ url, retry: { maxAttempts: 3 } }),
    'retry has no option "maxAttempts"; did you mean "attempts"?',
  ],
  "an option of the outbox one level too high": [
    () => new Publisher({ url, gzip: true }),
    'a Publisher has no option "gzip"; did you mean outbox.gzip?',
  ],
  "an option of batches one level too high": [
    () => new Publisher({ url, outbox: { maxEvents: 3 } }).outbox,
    'outbox has no option "maxEvents"; did you mean batch.maxEvents?',
  ],
  "a misspelt option": [
    () => new Publisher({ url, timeoutMS: 3 }),
    'a Publisher has no option "timeoutMS"; did you mean "timeoutMs"?',
  ],
  "the timeout of another library": [
    () => new Publisher({ url, timeout: 3000 }),
    'a Publisher has no option "timeout"; did you mean "timeoutMs"?',
  ],
  "the URL under another name": [
    () => new Publisher({ endpoint: url }),
    'a Publisher has no option "endpoint"; did you mean "url"?',
  ],
  "an option that no name resembles": [
    () => new Publisher({ url, colour: "red" }),
    'a Publisher has no option "colour"; the options are url, mode, outbox, classify, sign, beforeSend, retry, maxInFlight, credentials, keepalive, fetch, signal, timeoutMs, headers',
  ],
  "a timeout with a unit": [
    () => new Publisher({ url, timeoutMs: "5s" }),
    'timeoutMs must be a number of milliseconds above 0 and up to 2147483647; received "5s"',
  ],
  "a string in place of the options": [
    () => new Publisher(`${url}?t0ken`),
    "the options of a Publisher must be an object such as { url: … }",
  ],
  "no options": [
    () => new Publisher(),
    "the options of a Publisher must be an object such as { url: … }; received undefined",
  ],
  "a mode of another library": [
    () => new Publisher({ url, mode: "json" }),
    'mode must be "binary", "structured" or "batch"; received "json"; did you mean "structured"?',
  ],
  "a mode in capitals": [
    () => new Publisher({ url, mode: "STRUCTURED" }),
    'mode must be "binary", "structured" or "batch"; received "STRUCTURED"; did you mean "structured"?',
  ],
  "a mode of another library for one request": [
    () => toRequest(url, event, { mode: "json" }),
    'mode must be "binary", "structured" or "batch"; received "json"; did you mean "structured"?',
  ],
  "a host and a port without a scheme": [
    () => new Publisher({ url: "localhost:8080/t0ken" }),
    'url must be an http or https URL; received "localhost:"; did you mean "http://localhost:8080"?',
  ],
  "a host without a scheme": [
    () => new Publisher({ url: "example.com/t0ken" }),
    'url must be an absolute URL; did you mean "https://example.com"?',
  ],
  "a relative URL outside of a page": [
    () => new Publisher({ url: "/events" }),
    "url must be an absolute URL; only a page has an address that it can be relative to",
  ],
  "the address of a WebSocket": [
    () => new BayeuxClient("wss://example.com/t0ken"),
    'url must be an http or https URL; received "wss:"; write http for ws, and https for wss',
  ],
  "a controller in place of its signal": [
    () => new Publisher({ url, signal: new AbortController() }),
    "signal must be an AbortSignal; received [object AbortController]; pass its member signal",
  ],
  "the result of fetch in place of the function": [
    () => new Publisher({ url, fetch: fetch202() }),
    "fetch must be a function; received [object Promise]; await it first",
  ],
  "a function that makes a store in place of the store": [
    () => new Publisher({ url, outbox: { store: memoryStore } }).outbox,
    'outbox.store must be "auto", "memory" or a store such as fileStore(path) returns; received [object Function]',
  ],
  "the path of a file in place of a store": [
    () => new Publisher({ url, outbox: { store: "./events.log" } }).outbox,
    'outbox.store must be "auto", "memory" or a store such as fileStore(path) returns; received "./events.log"',
  ],
  "a store in place of the options of the outbox": [
    () => new Publisher({ url, outbox: memoryStore() }).outbox,
    "outbox must be an object of options; received [object Object]; pass the store as { store: … }",
  ],
  "a plain object as an event": [
    () => toBinary(base),
    "event must be a CloudEvent; received [object Object]; make one with new CloudEvent(event)",
  ],
  "a plain object to publish": [
    () => publisher.publish(base),
    "event must be a CloudEvent; received [object Object]; make one with new CloudEvent(event)",
  ],
  "a plain object to a session": [
    () => publisher.session().publish(base),
    "event must be a CloudEvent; received [object Object]; make one with new CloudEvent(event)",
  ],
  "a plain object to send": [
    () => publisher.send(base),
    "events must be an EventBatch or another iterable of CloudEvents; received [object Object]; make one with new CloudEvent(event)",
  ],
  "an event of another SDK": [
    () => publisher.publish(new (class CloudEvent {})()),
    "event must be a CloudEvent; received [object Object]; make one with new CloudEvent(event)",
  ],
  "several events to publish": [
    () => publisher.publish([event]),
    "event must be a CloudEvent; received [object Array]; pass one event at a time",
  ],
  "an event that was not awaited": [
    () => publisher.publish(Promise.resolve(event)),
    "event must be a CloudEvent; received [object Promise]; await it first",
  ],
  "one event in place of a batch": [
    () => toBatch(event),
    "events must be an EventBatch or another iterable of CloudEvents; received [object Object]; put the event into an array",
  ],
  "event and URL the other way round": [
    () => toRequest(event, url),
    'events must be an EventBatch or another iterable of CloudEvents; received "https://example.com/"',
  ],
  "a deadline in place of the options": [
    () => publisher.session().flush(1000),
    "options must be an object; received 1000; pass { deadlineMs: 1000 }",
  ],
  "an attribute in camel case": [
    () => new CloudEvent({ ...base, traceId: "x" }),
    'the attribute "traceId" has an invalid name: only a-z and 0-9 are allowed, and data is reserved; did you mean "traceid"?',
  ],
  "an attribute in snake case": [
    () => new CloudEvent({ ...base, trace_id: "x" }),
    'the attribute "trace_id" has an invalid name: only a-z and 0-9 are allowed, and data is reserved; did you mean "traceid"?',
  ],
  "a name that cannot be mended": [
    () => new CloudEvent({ ...base, é: "x" }),
    'the attribute "é" has an invalid name: only a-z and 0-9 are allowed, and data is reserved',
  ],
  "the payload as an attribute": [
    () => new CloudEvent({ ...base, payload: {} }),
    'the attribute "payload" must be a string, a boolean, an integer, a Date, a URL or bytes: [object Object]; put other values into data',
  ],
  "a fraction as an attribute": [
    () => new CloudEvent({ ...base, price: 1.5 }),
    'the attribute "price" is not a 32-bit integer: 1.5; pass it as a string',
  ],
  "a number as the time": [
    () => new CloudEvent({ ...base, time: 1700000000000 }),
    'the attribute "time" must be a string or a Date: 1700000000000',
  ],
  "data that JSON would drop": [
    () => new CloudEvent({ ...base, data: new Map() }),
    "data is a Map, which JSON would drop or write as {}; convert it first",
  ],
  "data that were not awaited": [
    () => new CloudEvent({ ...base, data: Promise.resolve(1) }),
    "data is a Promise, which JSON would drop or write as {}; await it first",
  ],
  "a Response in place of its text": [
    () => CloudEvent.fromJSON(new Response("{}")),
    "json must be a string, bytes or an object; received [object Response]",
  ],
  "a text that was not awaited": [
    () => CloudEvent.fromJSON(Promise.resolve("{}")),
    "json must be a string, bytes or an object; received [object Promise]; await it first",
  ],
  "nothing to change": [() => event.with(), "changes must be an object; received undefined"],
  "the constructor of a batch": [
    () => new EventBatch([event]),
    "EventBatch has no public constructor; use EventBatch.parse or EventBatch.of",
  ],
  "a list to parse": [
    () => EventBatch.parse([base]),
    "json must be a string or bytes; received [object Array]; for events use EventBatch.of",
  ],
  "a body that was parsed": [
    () => fromHttp(received, { n: 1 }),
    'body must be a string, a Uint8Array or an ArrayBuffer; received [object Object]; it was parsed before; use fromIncoming of eventferry/node, or express.raw({ type: "*/*" }) as the body parser',
  ],
  "an array that was parsed": [
    () => fromHttp(received, [1]),
    'body must be a string, a Uint8Array or an ArrayBuffer; received [object Array]; it was parsed before; use fromIncoming of eventferry/node, or express.raw({ type: "*/*" }) as the body parser',
  ],
  "a body that was not awaited": [
    () => fromHttp(received, Promise.resolve("x")),
    "body must be a string, a Uint8Array or an ArrayBuffer; received [object Promise]; await it first",
  ],
  "a stream as a body": [
    () => fromHttp(received, new Response("x").body),
    "body must be a string, a Uint8Array or an ArrayBuffer; received [object ReadableStream]; read the stream first, or use fromRequest",
  ],
  "a message in place of its headers": [
    () => fromHttp({ headers: received, body: "x" }),
    "headers must be a Headers object, pairs or a plain object; received [object Object]; pass the headers of the message, and its body",
  ],
  "a request of Express": [
    () => fromRequest({ method: "POST", headers: received, body: {} }),
    "message must be a Request or a Response; received [object Object]; for a request of Node's http module or of Express, use fromIncoming of eventferry/node, or read its body and call fromHttp(request.headers, body)",
  ],
  "a request that was not awaited": [
    () => fromRequest(Promise.resolve(new Response("x"))),
    "message must be a Request or a Response; received [object Promise]; await it first",
  ],
  "a binding with a capital": [
    () => toMessage(event, "Kafka"),
    'binding must be "kafka", "amqp", "service-bus", "mqtt" or "nats"; received "Kafka"; did you mean "kafka"?',
  ],
  "the value of a Kafka message": [
    () => fromMessage(Buffer.from("{}"), "kafka"),
    "message must be a message of the client; received [object Uint8Array]; pass the whole message, with its headers",
  ],
  "what eachMessage of kafkajs gets": [
    () => fromMessage({ topic: "t", partition: 0, message: { value: null } }, "kafka"),
    "message must be a message of the client; received [object Object]; pass its member message",
  ],
  "nobody decides who may deliver": [
    () => webhook({ onEvent() {} }),
    'webhook needs verify, authorize or allowedOrigins; received none; pass allowedOrigins: "*" to let everybody deliver',
  ],
  "a handler under another name": [
    () => webhook({ allowedOrigins: "*", handler() {} }),
    'webhook has no option "handler"; did you mean "onEvent"?',
  ],
  "a secret in place of a verifier": [
    () => webhook({ onEvent() {}, verify: "t0ken" }),
    "verify must be a verifier, for example github(secret), or a list of them",
  ],
  "the token of a pipeline under another name": [
    () => new PipelineDataSource({ pipelineId: "p", token: "t0ken" }),
    'a PipelineDataSource has no option "token"; did you mean "pipelineAccessToken"?',
  ],
  "a token of a pipeline with Bearer before it": [
    () => new PipelineDataSource({ ...pipeline, pipelineAccessToken: "Bearer t0ken" }),
    'pipelineAccessToken must be the token alone; leave out the word "Bearer"',
  ],
  "options in snake case": [
    () => new PipelineDataSource({ pipeline_id: "p" }),
    'a PipelineDataSource has no option "pipeline_id"; did you mean "pipelineId"?',
  ],
  "arguments in place of options": [
    () => new PipelineDataSource("p", "t0ken"),
    "the options of a PipelineDataSource must be an object such as { pipelineId: … }",
  ],
  "a session id with Bearer before it": [
    () => sessionAuth({ ...instance, accessToken: "Bearer t0ken" }),
    'accessToken must be the token alone; leave out the word "Bearer"',
  ],
  "an instance without a scheme": [
    () => sessionAuth({ accessToken: "t0ken", instanceUrl: "acme.my.salesforce.com" }),
    'instanceUrl must be an absolute URL; did you mean "https://acme.my.salesforce.com"?',
  ],
  "a token in place of a function": [
    () => tokenAuth({ ...instance, accessToken: "t0ken" }),
    "accessToken must be a function that returns a token",
  ],
  "credentials in place of a way to log in": [
    () => new SalesforceClient({ username: "u", password: "t0ken" }),
    "auth must be the result of passwordAuth, refreshTokenAuth, clientCredentialsAuth, jwtBearerAuth, tokenAuth or sessionAuth",
  ],
  "a store of events in place of a replay store": [
    () => new SalesforceClient(sessionAuth({ ...instance, accessToken: "t" }), { replay: memoryStore() }),
    'replay must be "new", "all" or a replay id; received [object Object]; pass a store of events as replayStore(store)',
  ],
  "options in place of the URL of a Bayeux client": [
    () => new BayeuxClient({ url }),
    "url must be an absolute URL; pass the URL itself, as a string or a URL",
  ],
  "a transport of another library": [
    () => new BayeuxClient(url, { transports: ["ws"] }),
    'transports must be a non-empty array of "websocket" and "long-polling"; received "ws"',
  ],
  "a header in place of a function that returns headers": [
    () => new BayeuxClient(url, { auth: "Bearer t0ken" }),
    "auth must be a function that returns headers",
  ],
  "a channel without a slash": [
    () => new BayeuxClient(url).subscribe("orders"),
    'channel must be a name such as /topic/orders; received "orders"',
  ],
  "messages before open": [
    () => new BayeuxClient(url).receive(),
    "the client is not open yet; await client.open() first",
  ],
  "publish before open": [
    () => new BayeuxClient(url).publish("/orders", {}),
    "the client is not open yet; await client.open() first",
  ],
  "the URL of BriteEvents under another name": [
    () => new BriteEventsClient({ ...brite, apiUrl: undefined, baseUrl: url }),
    'BriteEventsClient has no option "baseUrl"; did you mean "apiUrl"?',
  ],
  "the path of a file of topics": [
    () => new BriteEventsClient({ ...brite, topics: "./topics.yaml" }),
    "topics must be the YAML text of an object; to load a file, read it first and pass its text",
  ],
  "a method for a topic that does not exist": [
    () => new BriteEventsClient(brite).userSession("u", "j").createdOrders({}),
    "Could not resolve convenience wrapper for: createdOrders; the nearest are createdOrder, orderCreated",
  ],
  "a topic in lower case": [
    () => new BriteEventsClient(brite).userSession("u", "j").publish({ action: "Created", entity: "order", data: {} }),
    "Topic not found: shop.orderCreated; the nearest are shop.OrderCreated",
  ],
  "arguments in place of a BriteEvent": [
    () => new BriteEventsClient(brite).userSession("u", "j").publish("Order", "Created", {}),
    "publish takes one object: { action, entity, data, category? }",
  ],
  "a URL in place of the options of an events-protocol client": [
    () => new EventsProtocolClient(url),
    "the options of EventsProtocolClient must be an object such as { url: … }",
  ],
  "a name in place of an events-protocol request": [
    () => new EventsProtocolClient({ url }).sendEvent("get:user", {}),
    "the options of sendEvent must be an object such as { name: … }",
  ],
  "a name without a colon": [
    () => new EventsProtocolClient({ url }).sendEvent({ name: "users", payload: {} }),
    'name must be two or more parts of a-z and _ separated by colons, each ending with a letter, such as "get:user:name"; received "users"; set checkNames: false to allow other names',
  ],
  "a handler of events under another name": [
    () => new EventRegistry().register({ name: "get:user", version: 1, handler() {} }),
    'register has no option "handler"; did you mean "handle"?',
  ],
  "an option of the emulator that it does not have": [
    () => createEmulator({ port: 8080 }),
    'createEmulator has no option "port"; the options are cloudEvents, briteEvents, glassflow, eventsProtocol, salesforce, services, maxHeaderBytes',
  ],
};

for (const [mistake, [make, message]] of Object.entries(MISTAKES)) {
  test(`${mistake}: the message names the remedy`, async () => {
    await assert.rejects(
      async () => make(),
      (error) => {
        assert.equal(error.name, "FerryError");
        assert.equal(error.message, message);
        assert.doesNotMatch(error.message, /t0ken/);
        return true;
      },
    );
  });
}

test("a request of Node's http module: the message names fromHttp", async () => {
  let error;
  const server = createServer((request, response) => {
    fromRequest(request).catch((reason) => {
      error = reason;
      response.end();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  await fetch(`http://127.0.0.1:${server.address().port}/`);
  server.closeAllConnections();
  server.close();
  assert.deepEqual(
    [error.code, /fromHttp\(request\.headers, body\)$/.test(error.message)],
    ["ERR_INVALID_ARGUMENT", true],
  );
  for (const message of [undefined, null, {}, { headers: {} }])
    await assert.rejects(fromRequest(message), { name: "FerryError" });
});

test("a Response of node-fetch, whose body is a stream of Node, is read up to the limit", async () => {
  const response = (...chunks) => ({
    status: 200,
    url: "",
    headers: new Headers(received),
    body: Readable.from(chunks.map((text) => Buffer.from(text))),
  });
  assert.equal((await fromRequest(response("ab", "cd"))).dataText, "abcd");
  const large = response("ab", "cd");
  await assert.rejects(fromRequest(large, { maxBytes: 3 }), { code: "ERR_TOO_LARGE" });
  assert.equal(large.body.destroyed, true);
});

test("a web hook that gets no Request tells what to do, because its Response is sent by nobody", async (context) => {
  const shown = context.mock.method(console, "warn", () => undefined);
  const handle = webhook({ allowedOrigins: "*", onEvent() {} });
  const requestOfExpress = { method: "POST", headers: received, body: {} };
  assert.equal((await handle(requestOfExpress)).status, 500);
  assert.match(shown.mock.calls[0].arguments[0], /of Express, use fromIncoming of eventferry\/node/);
  const errors = [];
  await webhook({ allowedOrigins: "*", onEvent() {}, onError: ({ code }) => errors.push(code) })(requestOfExpress);
  assert.deepEqual([errors, shown.mock.callCount()], [["ERR_INVALID_ARGUMENT"], 1]);
});

test("the URL of a publisher is relative to that of its page", async () => {
  globalThis.location = { href: "https://shop.example/cart?x=1" };
  try {
    let sent;
    const fetch = async (input) => {
      sent = typeof input === "string" ? input : input.url;
      return new Response(null, { status: 202 });
    };
    await new Publisher({ url: "/events", fetch }).send(new CloudEvent(base));
    assert.equal(sent, "https://shop.example/events");
  } finally {
    delete globalThis.location;
  }
});

test("an event of another SDK becomes an event of this one", () => {
  const foreign = {
    id: "1",
    specversion: "1.0",
    time: "2026-01-01T00:00:00.000Z",
    ...base,
    datacontenttype: undefined,
    subject: undefined,
  };
  assert.deepEqual(new CloudEvent({ ...foreign, data: { a: 1 } }).data, { a: 1 });
  const binary = new CloudEvent({
    ...foreign,
    datacontenttype: "image/png",
    data: new Uint32Array([1, 2]),
    data_base64: "AQI=",
  });
  assert.deepEqual(binary.data, new Uint8Array([1, 2]));
  assert.equal(new CloudEvent(JSON.parse(binary.toString())).equals(binary), true);
  assert.throws(() => new CloudEvent({ ...foreign, data_base64: "?" }), {
    code: "ERR_INVALID_DATA",
    culprit: "caller",
  });
});
