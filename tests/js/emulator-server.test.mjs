// The emulator as a server on loopback, and custom services. It runs on real time, because sockets do.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { CloudEvent, toBinary, toStructured } from "eventferry/cloudevents";
import { createEmulator, isFerryError } from "eventferry/testing";
import { event, hasCode, ORIGIN, post, readBlocks, sendRaw, takeEvents, withServer } from "./emulator-fixtures.mjs";

test("custom services are reached by their prefix, and their errors become 500 responses", async () => {
  const emulator = createEmulator({
    services: [
      { prefix: "/", handle: (_, url) => new Response(`root ${url.pathname}`) },
      {
        prefix: "/mine/deep",
        handle: () => {
          throw new Error("on purpose");
        },
      },
      { prefix: "/mine", handle: () => new Response("mine") },
    ],
  });
  const text = async (path) => (await emulator.fetch(ORIGIN + path)).text();
  assert.deepEqual(
    [await text("/other"), await text("/mine"), await text("/mine/x"), await text("/minex")],
    ["root /other", "mine", "mine", "root /minex"],
  );
  const failed = await emulator.fetch(`${ORIGIN}/mine/deep/x`);
  assert.equal(failed.status, 500);
  assert.equal(await failed.text(), "the service /mine/deep failed: on purpose\n");
  for (const prefix of ["mine", "/mine/", "/a?b", "/cloudevents"]) {
    assert.throws(
      () => createEmulator({ services: [{ prefix, handle: () => new Response() }] }),
      hasCode("ERR_INVALID_ARGUMENT"),
      prefix,
    );
  }
});

test("the server takes headers unchanged: repeated ones joined, bytes as Latin-1", () =>
  withServer({}, async (emulator, url) => {
    const head = [
      "POST /cloudevents/c HTTP/1.1",
      "Host: x",
      "ce-specversion: 1.0",
      "CE-ID: 1",
      "ce-source: /",
      "ce-type: t",
      "X-Twice: a",
      "x-twice: b",
      "X-Latin: \xfc\xff",
      "Content-Length: 2",
      "",
      "{}",
    ];
    const { text } = await sendRaw(url, Buffer.from(head.join("\r\n"), "latin1"), { keepOpen: true });
    assert.match(text, /^HTTP\/1\.1 204 /);
    assert.match(
      text,
      /\r\nconnection: close\r\n/i,
      "no connection is kept, so that no client repeats a request by itself",
    );
    const [{ headers, url: at }] = emulator.cloudEvents.received;
    assert.equal(headers["x-twice"], "a, b");
    assert.equal(headers["x-latin"], "\xfc\xff");
    assert.equal(at, `${url}/cloudevents/c`);
  }));

test("the server refuses heads and bodies that are too large, and requests that are not HTTP", () =>
  withServer({ maxHeaderBytes: 4096, cloudEvents: { maxBodyBytes: 1000 } }, async (emulator, url) => {
    const answer = await post(
      (path, init) => fetch(path.replace(ORIGIN, url), init),
      "/cloudevents",
      toStructured(event({ data: "x".repeat(100_000) })),
    );
    assert.equal(answer.status, 413);
    const endless = async function* () {
      for (let at = 0; at < 100; at++) yield new Uint8Array(1000);
    };
    const streamed = await fetch(`${url}/cloudevents`, {
      method: "POST",
      headers: { "content-type": "application/cloudevents+json" },
      body: ReadableStream.from(endless()),
      duplex: "half",
    });
    assert.equal(streamed.status, 413);
    assert.match(
      (await sendRaw(url, `GET / HTTP/1.1\r\nHost: x\r\nx-long: ${"x".repeat(5000)}\r\n\r\n`)).text,
      /^HTTP\/1\.1 431 /,
    );
    assert.match((await sendRaw(url, "what?\r\n\r\n")).text, /^HTTP\/1\.1 400 /);
    assert.match(
      (await sendRaw(url, "TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", { keepOpen: true })).text,
      /^HTTP\/1\.1 400 /,
    );
    assert.equal((await fetch(`${url}/cloudevents`)).status, 405);
    assert.equal(emulator.cloudEvents.received.length, 0);
  }));

test("the server streams events live and resumes", () =>
  withServer({}, async (emulator, url) => {
    const first = readBlocks(await fetch(`${url}/cloudevents/c/stream`));
    await first.next();
    await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id: "1" })));
    const [{ id }] = await takeEvents(first, 1);
    await first.return();
    await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id: "2" })));
    const second = readBlocks(await fetch(`${url}/cloudevents/c/stream`, { headers: { "last-event-id": id } }));
    assert.equal(CloudEvent.fromJSON((await takeEvents(second, 1))[0].data).id, "2");
    await second.return();
  }));

test("a handler reads a request body while it is still being sent", () =>
  withServer({ services: [{ prefix: "/echo", handle: (request) => new Response(request.body) }] }, async (_, url) => {
    let send;
    const body = new ReadableStream({
      start(controller) {
        send = controller;
      },
    });
    send.enqueue(new TextEncoder().encode("one"));
    const answer = await fetch(`${url}/echo`, { method: "POST", body, duplex: "half" });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, "one");
    send.enqueue(new TextEncoder().encode("two"));
    assert.equal((await reader.read()).value, "two");
    send.close();
    assert.equal((await reader.read()).done, true);
  }));

test("large bodies are transferred completely in both directions", () =>
  withServer({ services: [{ prefix: "/echo", handle: (request) => new Response(request.body) }] }, async (_, url) => {
    const bytes = new Uint8Array(5_000_000).map((_, at) => at * 31);
    const answer = await fetch(`${url}/echo`, { method: "POST", body: bytes });
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(Buffer.from(bytes)));
  }));

test("a request that is aborted by the client stores no event", () =>
  withServer({}, async (emulator, url) => {
    await sendRaw(
      url,
      "POST /cloudevents HTTP/1.1\r\nHost: x\r\nce-id: 1\r\nce-specversion: 1.0\r\nce-source: /\r\nce-type: t\r\nContent-Length: 10\r\n\r\n12345",
    );
    assert.equal(emulator.cloudEvents.received.length, 0);
  }));

test("faults apply to sockets: reset, truncated body and lost response", () =>
  withServer({}, async (emulator, url) => {
    const send = () =>
      post((path, init) => fetch(path.replace(ORIGIN, url), init), "/cloudevents/c", toBinary(event()));
    emulator.faults.add({ reset: true, times: 1 });
    await assert.rejects(
      send(),
      (error) => error instanceof TypeError && /ECONNRESET|UND_ERR_SOCKET/.test(error.cause?.code),
    );
    assert.equal(emulator.cloudEvents.received.length, 0);
    emulator.faults.add({ after: "store", reset: true, times: 1 });
    await assert.rejects(send(), TypeError);
    assert.equal(emulator.cloudEvents.received.length, 1);
    emulator.faults.add({ body: "0123456789", cutBodyAfter: 4, times: 1 });
    const { text } = await sendRaw(url, "GET /cloudevents/c HTTP/1.1\r\nHost: x\r\n\r\n", { keepOpen: true });
    assert.match(text, /\r\n\r\n4\r\n0123\r\n$/, "four bytes and no end");
    emulator.faults.add({ body: "0123456789", cutBodyAfter: 4, times: 1 });
    await assert.rejects(
      fetch(`${url}/cloudevents/c`).then((answer) => answer.text()),
      TypeError,
    );
    emulator.faults.add({ status: 503, delayMs: 20, times: 1 });
    assert.equal((await send()).status, 503);
    assert.equal((await send()).status, 204);
  }));

test("a client that disconnects ends its hanging requests and streams", () =>
  withServer({}, async (emulator, url) => {
    const requests = [];
    emulator.faults.add({
      match(request) {
        requests.push(request);
        return request.url.endsWith("/hang");
      },
      hang: true,
    });
    const aborter = new AbortController();
    const hanging = fetch(`${url}/cloudevents/hang`, { method: "POST", signal: aborter.signal });
    await readBlocks(await fetch(`${url}/cloudevents/c/stream`, { signal: aborter.signal })).next();
    assert.equal(requests.length, 2);
    const ended = requests.map(({ signal }) => once(signal, "abort"));
    aborter.abort();
    await assert.rejects(hanging, { name: "AbortError" });
    await Promise.all(ended);
  }));

test("close ends all connections immediately and leaves no socket open", async () => {
  const handles = () => process.getActiveResourcesInfo().filter((name) => /TCP|Server/.test(name)).length;
  const emulator = createEmulator();
  const before = handles();
  const server = await emulator.listen();
  let hangingRequests = 0;
  const arrived = new Promise((resolve) => {
    emulator.faults.add({
      match(request) {
        const isHanging = request.url.endsWith("/hang");
        if (isHanging && ++hangingRequests === 12) resolve();
        return isHanging;
      },
      hang: true,
    });
  });
  const hanging = Array.from({ length: 12 }, () => assert.rejects(fetch(`${server.url}/cloudevents/hang`), TypeError));
  const streams = await Promise.all(Array.from({ length: 12 }, () => fetch(`${server.url}/cloudevents/c/stream`)));
  const unread = await fetch(`${server.url}/cloudevents/c/stream?after=0`);
  const halfSent = sendRaw(server.url, "POST /cloudevents HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1", {
    keepOpen: true,
  });
  await arrived;
  const start = performance.now();
  await Promise.all([server.close(), server.close()]);
  assert.ok(performance.now() - start < 500, "close must not wait for open connections");
  await Promise.all([...hanging, halfSent]);
  for (const stream of [...streams, unread]) await assert.rejects(stream.text());
  // The sockets of the clients close with the connections; the operating system reports that in later turns.
  for (let turn = 0; handles() > before && turn < 100_000; turn++) await new Promise(setImmediate);
  assert.ok(handles() <= before, `${handles() - before} sockets are still open`);
  // The emulator itself stays open, and can listen again on the same port.
  const again = await emulator.listen(Number(new URL(server.url).port));
  assert.equal(again.url, server.url);
  await emulator.close();
  await assert.rejects(fetch(again.url), TypeError);
});

test("listen reports a port in use and an invalid port", async () => {
  const other = createServer();
  await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
  const emulator = createEmulator();
  await assert.rejects(
    emulator.listen(other.address().port),
    (error) => isFerryError(error, "ERR_INVALID_ARGUMENT") && error.cause.code === "EADDRINUSE",
  );
  await assert.rejects(emulator.listen(70_000), hasCode("ERR_INVALID_ARGUMENT"));
  await new Promise((resolve) => other.close(resolve));
});
