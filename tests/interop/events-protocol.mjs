// Interoperability with the Python original (events-protocol 0.2.4): its server with the client of this package, and its
// client with the server of this package in workerd and with the emulator.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { EventClient } from "../../dist/entries/events-protocol.js";
import { createEmulator } from "../../dist/entries/testing.js";
import { end, start } from "../child.mjs";
import { python } from "../python.mjs";
import { Tally } from "../tally.mjs";
import { startWorker } from "../workerd.mjs";

// The package allows pydantic 2, which breaks it.
const REQUIREMENTS = ["events-protocol==0.2.4", "pydantic==1.10.27", "requests==2.34.2"];
const at = (file) => fileURLToPath(new URL(file, import.meta.url));

const tally = new Tally();
let interpreter;
await tally.check("the Python original is installed", async () => {
  interpreter = await python("events-protocol", REQUIREMENTS);
});
if (interpreter) {
  await testOriginalServer();
  await testOriginalClient();
  await testOriginalClientWithEmulator();
}
tally.finish();

async function testOriginalServer() {
  const child = start(interpreter, [at("events_protocol_server.py")]);
  const problems = [];
  createInterface({ input: child.stderr }).on("line", (line) => problems.push(line));
  const port = await new Promise((resolve) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("exit", () => resolve(undefined));
  });
  if (!port) return tally.fail("the original server starts", problems.join("\n"));
  const client = new EventClient({ url: `http://127.0.0.1:${port}/events/` });
  const check = (name, body) => tally.check(`the original server ${name}`, body);
  const ids = { id: "id-1", flowId: "flow-1" };

  await check("answers with success, and keeps text beyond ASCII", async () => {
    const response = await client.sendEvent({
      name: "get:event:example",
      payload: { example: "ç€😀" },
      ...ids,
      identity: { userId: 1 },
      auth: { token: "t" },
      metadata: { origin: "web" },
    });
    assert.deepEqual(
      [
        response.isSuccess,
        response.name,
        response.version,
        response.payload,
        response.id,
        response.flowId,
        response.status,
      ],
      [true, "get:event:example:response", 1, { got: "ç€😀" }, "id-1", "flow-1", 200],
    );
    // It repeats auth, which is readable but not part of JSON output.
    assert.deepEqual(response.auth, { token: "t" });
    assert.ok(!JSON.stringify(response).includes('"t"'));
  });
  await check("returns payloads unchanged", async () => {
    const payload = { list: [1, 2.5, null, { deep: true }], snake_case: "", "": 0 };
    assert.deepEqual((await client.sendEvent({ name: "echo:event", payload })).payload, payload);
  });
  await check("accepts generated ids", async () => {
    const { id, flowId, hasRequestIds } = await client.sendEvent({ name: "echo:event" });
    for (const one of [id, flowId]) assert.match(one, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.equal(hasRequestIds, false);
  });
  await check("answers with a redirect", async () => {
    const response = await client.sendEvent({ name: "redirect:event" });
    assert.deepEqual(
      [response.isRedirect, response.isError, response.errorType, response.payload],
      [true, false, undefined, { url: "https://e.x", queryParameters: { a: 1 } }],
    );
  });
  await check("answers with each of its types of error", async () => {
    for (const type of [
      "error",
      "badProtocol",
      "badRequest",
      "unauthorized",
      "notFound",
      "forbidden",
      "userDenied",
      "resourceDenied",
      "expired",
      "unknown",
    ]) {
      const response = await client.sendEvent({ name: "raise:event", payload: { type } });
      assert.deepEqual(
        [response.isError, response.errorType, response.errorCode, response.errorParameters],
        [true, type, "RAISED", { asked: type }],
      );
    }
  });
  await check("names the missing fields", async () => {
    const response = await client.sendEvent({ name: "get:event:example" });
    assert.deepEqual(
      [response.errorType, response.errorCode, response.errorParameters],
      [
        "badRequest",
        "MISSING_FIELDS",
        { fields: [{ name: "example", errorType: "value_error.missing", message: "field required" }] },
      ],
    );
  });
  await check("answers an unknown event with notFound", async () => {
    const response = await client.sendEvent({ name: "get:nothing", version: 3 });
    assert.deepEqual(
      [response.name, response.errorType, response.errorCode],
      ["get:nothing:notFound", "notFound", "EVENT_NOT_FOUND"],
    );
  });
  await check("crashes, and the error keeps its response", async () => {
    const error = await client.sendEvent({ name: "raise:event", payload: { type: "crash" } }).catch((error) => error);
    assert.deepEqual(
      [error.code, error.status, JSON.parse(error.bodyText)],
      ["ERR_UNAVAILABLE", 500, { crash: "RuntimeError('not of the protocol')" }],
    );
    const list = await client.sendEvent({ name: "echo:event", payload: [1] }).catch((error) => error);
    assert.equal(list.status, 500);
  });
  await check("answers 100 concurrent requests", async () => {
    const numbers = Array.from({ length: 100 }, (_, number) => number);
    const answers = await Promise.all(
      numbers.map((number) => client.sendEvent({ name: "echo:event", payload: { number } })),
    );
    assert.deepEqual(
      answers.map(({ payload }) => payload.number),
      numbers,
    );
  });
  client.close();
  end(child);
}

async function testOriginalClientWithEmulator() {
  const emulator = createEmulator();
  const { url } = await emulator.listen();
  const { send, close } = originalClient(`${url}/events/`);
  await tally.check("the emulator and the original client", async () => {
    const sendEvent = (name, payload) =>
      send({ name, version: 1, payload, id: "id-1", flow_id: "flow-1", auth: { token: "t" } });
    const { event, is_success: isSuccess } = await sendEvent("get:event:example", { example: "ç€😀" });
    assert.deepEqual(
      [isSuccess, event],
      [
        true,
        {
          name: "get:event:example:response",
          version: 1,
          payload: { got: "ç€😀" },
          id: "id-1",
          flowId: "flow-1",
          identity: {},
          auth: {},
          metadata: {},
        },
      ],
    );
    assert.equal((await sendEvent("redirect:event", {})).is_redirect, true);
    for (const type of [
      "error",
      "badProtocol",
      "badRequest",
      "unauthorized",
      "notFound",
      "forbidden",
      "userDenied",
      "resourceDenied",
      "expired",
    ])
      assert.equal((await sendEvent("raise:error", { type })).error_type, type);
    assert.equal((await sendEvent("crash:event", {})).event.payload.code, "UNHANDLED_ERROR");
    assert.equal((await sendEvent("get:nothing", {})).event.name, "eventNotFound");
    const received = await emulator.eventsProtocol.waitFor(13);
    assert.deepEqual([received[0].event.auth, received[0].headers["charset"]], [{ token: "t" }, "UTF-8"]);
  });
  close();
  await emulator.close();
}

/** Starts the Python client for a server. `send` resolves with the result of one event. */
function originalClient(url) {
  const child = start(interpreter, [at("events_protocol_client.py"), url], { stdio: ["pipe", "pipe", "inherit"] });
  const waiting = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(JSON.parse(line)));
  child.once("exit", () => {
    for (const resolve of waiting) resolve({ raises: "the client process exited" });
  });
  const send = (event) =>
    new Promise((resolve) => {
      waiting.push(resolve);
      child.stdin.write(`${JSON.stringify(event)}\n`);
    });
  return { send, close: () => end(child) };
}

async function testOriginalClient() {
  let worker;
  await tally.check("the server starts in workerd", async () => {
    worker = await startWorker(at("../js/events-protocol-worker.mjs"));
  });
  if (!worker) return;
  await checkOriginalClient(`${worker.url}events/`, "the server in workerd");
  await tally.check("workerd logged no error", () => {
    const problem = worker.output().find((line) => /error|hang/i.test(line));
    if (problem) throw new Error(problem);
  });
  await worker.close();
}

async function checkOriginalClient(url, server) {
  const { send, close } = originalClient(url);
  const check = (name, body) => tally.check(`${server} and the original client: ${name}`, body);
  const event = (name, payload, more) => ({ name, version: 1, payload, id: "id-1", flow_id: "flow-1", ...more });
  const nothing = { identity: {}, auth: {}, metadata: {} };

  await check("success, without the token that was sent", async () => {
    const { event: answer, ...rest } = await send(
      event(
        "get:event:example",
        { example: "ç€😀" },
        { identity: { userId: 1 }, auth: { token: "t" }, metadata: { origin: "web" } },
      ),
    );
    assert.deepEqual(answer, {
      name: "get:event:example:response",
      version: 1,
      payload: { got: "ç€😀" },
      id: "id-1",
      flowId: "flow-1",
      ...nothing,
    });
    assert.deepEqual(rest, { is_success: true, is_redirect: false, is_error: false, error_type: null });
  });
  await check("payloads in snake case and in camel case", async () => {
    for (const payload of [
      { user_name: "a", address: { zip_code: 1 } },
      { userName: "a", address: { zipCode: "1" }, tags: [] },
    ]) {
      assert.deepEqual((await send(event("put:nested", payload))).event.payload, {
        userName: "a",
        address: { zipCode: 1 },
        tags: [],
      });
    }
  });
  await check("a redirect", async () => {
    const { event: answer, is_redirect: isRedirect } = await send(event("do:boom", { k: "redirect" }));
    assert.deepEqual(
      [isRedirect, answer.name, answer.payload],
      [true, "do:boom:redirect", { url: "https://e.x", queryParameters: { a: 1 } }],
    );
  });
  await check("exceptions of handlers", async () => {
    for (const [k, type, code] of [
      ["dep", "error", "FAILED_DEPENDENCY"],
      ["timeout", "error", "EVENT_TIMEOUT"],
      ["notfound", "notFound", "EVENT_NOT_FOUND"],
      ["missing", "badRequest", "MISSING_FIELDS"],
      ["parse", "badProtocol", "INVALID_COMMUNICATION_PROTOCOL"],
      ["what", "error", "UNHANDLED_ERROR"],
    ]) {
      const { event: answer, error_type: errorType } = await send(event("do:boom", { k }));
      assert.deepEqual(
        [answer.name, errorType, answer.payload.code, answer.id],
        [`do:boom:${type}`, type, code, "id-1"],
      );
    }
  });
  await check("an invalid payload", async () => {
    const { event: answer, error_type: errorType } = await send(event("get:event:example", {}));
    assert.deepEqual(
      [errorType, answer.payload],
      [
        "badRequest",
        {
          code: "MISSING_FIELDS",
          parameters: { fields: [{ name: "example", errorType: "value_error.missing", message: "field required" }] },
        },
      ],
    );
  });
  await check("an event without a handler, which the client reports as an unknown error", async () => {
    const {
      event: answer,
      is_error: isError,
      error_type: errorType,
    } = await send(event("get:nothing", {}, { version: 3 }));
    assert.deepEqual(
      [isError, errorType, answer.name, answer.payload],
      [
        true,
        "unknown",
        "eventNotFound",
        { code: "NO_EVENT_HANDLER_FOUND", parameters: { event: "get:nothing", version: 3 } },
      ],
    );
  });
  await check("ids that the client generates", async () => {
    const { event: answer } = await send({ name: "get:event:example", version: 1, payload: { example: "x" } });
    for (const one of [answer.id, answer.flowId]) assert.match(one, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });
  await check("members that are null", async () => {
    assert.equal(
      (await send(event("get:event:example", { example: "x" }, { identity: null, auth: null, metadata: null })))
        .is_success,
      true,
    );
  });
  close();
}
