// The README and the guides, taken at their word: their blocks run, print what their comments say, and send what they say to a real server;
// its tables and names are compared with what they are about.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { transformSync } from "esbuild";
import ts from "typescript";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const read = (path) => readFileSync(join(root, path), "utf8");
const readme = read("README.md");
const manifest = JSON.parse(read("package.json"));

const guides = readdirSync(join(root, "www/docs")).map((name) => read(`www/docs/${name}`));

/** The blocks of the README and the guides that say `run=name`, by that name. */
const blocks = new Map(
  [...[readme, ...guides].join("\n").matchAll(/^```(js|ts) run=([\w-]+)\n(.*?)^```$/gms)].map(
    ([, language, name, code]) => [name, { language, code }],
  ),
);
const untested = new Set(blocks.keys());

let emulator;
let url;
before(async () => {
  const { createEmulator } = await import("eventferry/testing");
  emulator = createEmulator();
  ({ url } = await emulator.listen());
});
after(() => emulator.close());

/**
 * Runs a block as a module of its own.
 *
 * @param options.replace pairs of texts: addresses that a reader has and we have not
 * @param options.more code behind it, to get at what the block does not export
 * @returns what it exports, what it has printed so far, and what it says that it prints
 */
async function run(name, { replace = [], more = "" } = {}) {
  const block = blocks.get(name);
  assert.ok(block, `neither the README nor a guide has a block run=${name}`);
  untested.delete(name);
  let { code } = block;
  const expected = [...code.matchAll(/console\.log\(.*\); \/\/ (.+)$/gm)].map(([, words]) => words);
  assert.equal(
    expected.length,
    code.split("console.log(").length - 1,
    "a console.log of the README says in a comment what it prints",
  );
  for (const [from, to] of replace) {
    assert.equal(code.split(from).length, 2, `the block ${name} has ${from} in it once`);
    code = code.replace(from, to);
  }
  if (block.language === "ts") code = transformSync(code, { loader: "ts" }).code;
  // A module without a place of its own finds packages only by their address.
  code = code.replace(
    / from "(eventferry[^"]*)"/g,
    (_, specifier) => ` from ${JSON.stringify(import.meta.resolve(specifier))}`,
  );
  const printed = [];
  const key = Symbol.for(`eventferry.readme.${name}`);
  globalThis[key] = {
    log: (...values) =>
      printed.push(values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" ")),
  };
  const module = await import(
    `data:text/javascript,${encodeURIComponent(`const console = globalThis[Symbol.for(${JSON.stringify(key.description)})];\n${code}\n${more}`)}`
  );
  return { module, printed, expected };
}

/** Runs a block that needs nothing but itself. */
async function runAlone(name, options) {
  const { printed, expected, module } = await run(name, options);
  assert.deepEqual(printed, expected);
  return module;
}

/** As much of a Durable Object's storage as the store uses. `tests/faults` has the real one. */
function storageInMemory() {
  const rows = new Map();
  const storage = {
    get: async (key) =>
      Array.isArray(key)
        ? new Map(key.filter((one) => rows.has(one)).map((one) => [one, rows.get(one)]))
        : rows.get(key),
    put: async (key, value) =>
      void (typeof key === "string"
        ? rows.set(key, value)
        : Object.entries(key).forEach(([name, value]) => rows.set(name, value))),
    delete: async (keys) => [keys].flat().filter((key) => rows.delete(key)).length,
    list: async ({ prefix = "", start, startAfter, limit = Infinity } = {}) =>
      new Map(
        [...rows]
          .filter(([key]) => key.startsWith(prefix) && (!start || key >= start) && (!startAfter || key > startAfter))
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .slice(0, limit),
      ),
    transaction: (body) => body(storage),
    sync: async () => undefined,
    getAlarm: async () => null,
    setAlarm: async () => undefined,
    deleteAlarm: async () => undefined,
  };
  return storage;
}

const channel = (name) => [["https://example.com/events", `${url}/cloudevents/${name}`]];
const arrived = (name) => emulator.cloudEvents.received.filter((received) => received.channel === name);

// First: before another entry point has brought the full module along.
test("slim loads the module from where it is told", async () => {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.end(readFileSync(join(root, manifest.exports["./eventferry.wasm"].default)));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await runAlone("slim", { replace: [['"/assets/', `"http://127.0.0.1:${server.address().port}/assets/`]] });
    assert.deepEqual(asked, ["/assets/eventferry.wasm"]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("publish: what the page sends arrives", async () => {
  await runAlone("publish", { replace: channel("publish") });
  const [{ event, mode }, ...more] = arrived("publish");
  assert.equal(more.length, 0);
  assert.deepEqual(
    [mode, event.type, event.subject, event.data],
    ["structured", "com.example.order.created", "Åre – 2 × kaffe", { orderId: 7 }],
  );
  assert.match(event.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.ok(Math.abs(Date.parse(event.time) - Date.now()) < 60_000);
});

test("edge: takes what the page sent, and refuses what is no event", async () => {
  const { toRequest } = await import("eventferry");
  const [{ event }] = arrived("publish");
  const { module, printed, expected } = await run("edge");
  for (const mode of ["binary", "structured"])
    assert.equal((await module.default.fetch(toRequest("https://example.com/", event, { mode }))).status, 204);
  assert.deepEqual(printed, [expected[0], expected[0]]);
  assert.equal(
    (await module.default.fetch(new Request("https://example.com/", { method: "POST", body: "no event" }))).status,
    400,
  );
});

test("node: takes what the page sent, and refuses what is no event", async () => {
  const { toRequest } = await import("eventferry");
  const [{ event }] = arrived("publish");
  const { module, printed, expected } = await run("node", {
    replace: [["server.listen(8080)", 'server.listen(0, "127.0.0.1")']],
    more: "export { server };",
  });
  const { server } = module;
  try {
    if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
    const at = `http://127.0.0.1:${server.address().port}/`;
    for (const mode of ["binary", "structured"])
      assert.equal((await fetch(toRequest(at, event, { mode }))).status, 204);
    assert.deepEqual(printed, [expected[0], expected[0]]);
    assert.equal((await fetch(at, { method: "POST", body: "no event" })).status, 400);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

/** What the compiler has against a block. */
function compiled(name) {
  const { code } = blocks.get(name);
  const file = join(root, "tests/js/readme-block.mts");
  const options = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts"],
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (path) => path === file || fileExists(path);
  host.getSourceFile = (path, version, ...more) =>
    path === file ? ts.createSourceFile(path, code, version) : getSourceFile(path, version, ...more);
  const problems = ts.getPreEmitDiagnostics(ts.createProgram([file], options, host));
  return problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

test("bc-types: the block is good TypeScript, and works", async () => {
  assert.deepEqual(compiled("bc-types"), []);
  const { module } = await run("bc-types", { more: "export { client };" });
  assert.match(module.order("7").id, /^[0-9a-f-]{36}$/);
  await module.client.close();
});

test("types: the block is good TypeScript, and works", async () => {
  assert.deepEqual(compiled("types"), []);
  const { CloudEvent, toRequest } = await import("eventferry");
  const { orderFrom } = await runAlone("types");
  const { data } = await orderFrom(
    toRequest("https://example.com/", new CloudEvent({ type: "t", source: "/s", data: { orderId: 7 } })),
  );
  assert.deepEqual(data, { orderId: 7 });
});

test("session: what was rolled back stays away, and what was flushed arrives", async () => {
  await runAlone("session", {
    replace: channel("session"),
    more: "await publisher.outbox.drain(); publisher.close();",
  });
  assert.deepEqual(
    arrived("session").map(({ mode, event }) => [mode, event.type.slice("com.example.".length)]),
    [
      ["batch", "cart.paid"],
      ["batch", "order.created"],
    ],
  );
});

test("accounts: the event waits for the user who published it, and arrives with their token", async () => {
  const { module } = await run("accounts", {
    replace: channel("accounts"),
    more: "export const signIn = (other) => void (user = other); export { publisher };",
  });
  assert.equal((await module.publisher.outbox.drain({ deadlineMs: 5000 })).aborted, false);
  assert.equal(arrived("accounts").length, 1);
  module.signIn({ id: "bob", token: "token-of-bob" });
  assert.equal(module.publisher.outbox.stats().accepted, 0);
  await module.publisher.outbox.close();
});

test("adopt and sign-out: they report what they say", async () => {
  for (const name of ["adopt", "sign-out"]) await runAlone(name, { more: "await publisher.outbox.close();" });
});

test("worker: the runtime is asked to wait until the event has arrived", async () => {
  const { module } = await run("worker", { replace: channel("worker"), more: "export { publisher };" });
  const work = [];
  const answer = await module.default.fetch(
    new Request("https://example.com/"),
    {},
    { waitUntil: (promise) => work.push(promise) },
  );
  assert.equal(await answer.text(), "ok");
  assert.ok(work.length > 0);
  await Promise.all(work);
  assert.deepEqual(
    arrived("worker").map(({ event }) => event.type),
    ["com.example.page.viewed"],
  );
  module.publisher.close();
});

test("bc-worker: three events of a request arrive with its job, or none of them", async () => {
  const { module } = await run("bc-worker", {
    replace: [["https://events.example.com", `${url}/brite-events`]],
    more: "export { client };",
  });
  const work = [];
  const ask = (order) =>
    module.default.fetch(
      new Request("https://example.com/", {
        method: "POST",
        headers: { "x-job-id": "job-7" },
        body: JSON.stringify(order),
      }),
      {},
      { waitUntil: (promise) => work.push(promise) },
    );
  const refused = await ask({ id: "1", count: 2, cart: "c" });
  assert.deepEqual(
    [refused.status, await refused.text()],
    [400, 'orders.StockReserved: data breaks the rule required at #/required: it needs the member "sku"'],
  );
  assert.equal((await ask({ id: "1", sku: "s", count: 2, cart: "c" })).status, 202);
  await Promise.all(work);
  assert.deepEqual(
    emulator.briteEvents.received.map(({ event, jobId, mode }) => [
      `${event.category}.${event.entity}${event.action}`,
      event.actor.id,
      jobId,
      mode,
    ]),
    ["OrderCreated", "StockReserved", "ShoppingCartClosed"].map((name) => [
      `orders.${name}`,
      "user-4711",
      "job-7",
      "single",
    ]),
  );
  await module.client.close();
});

test("bc-events: errors are as shown", async () => {
  const { printed } = await run("bc-events", { more: "await client.close();" });
  const [, table] = /\| what is printed \|\n\|---\|\n((?:\| .* \|\n)+)/.exec(readme);
  assert.deepEqual(
    printed,
    table
      .trim()
      .split("\n")
      .map((row) => row.slice(2, -2)),
  );
});

test("object: what is answered with 202 is in the storage, and an alarm delivers it", async () => {
  const { module } = await run("object", { replace: channel("object") });
  const object = new module.Orders({ storage: storageInMemory() });
  assert.equal((await object.fetch(new Request("https://example.com/"))).status, 202);
  await object.alarm();
  assert.deepEqual(
    arrived("object").map(({ event }) => event.type),
    ["com.example.order.created"],
  );
  object.publisher.close();
});

/** A block with a client for streams, against a server in memory. `options` stand in the place where the client is made. */
async function runStream(name, replace, intercept) {
  const { BayeuxServer } = await import("./bayeux-server.mjs");
  const server = new BayeuxServer();
  server.intercept = (seen, request) => intercept?.(server, seen, request);
  globalThis[Symbol.for("eventferry.readme.fetch")] = async (request) =>
    request.url.endsWith("/token") ? intercept(server, undefined, request) : server.fetch(request);
  const { printed, expected } = await run(name, { replace });
  assert.deepEqual(printed, expected);
  assert.equal(server.sessions.size, 0);
  return server;
}
const FETCH = 'fetch: globalThis[Symbol.for("eventferry.readme.fetch")]';

test("bayeux: receives what it publishes", () =>
  runStream("bayeux", [
    ['"https://example.com/cometd"', `"https://example.com/cometd", { transports: ["long-polling"], ${FETCH} }`],
  ]));

test("salesforce: receives an event, and its mark is kept", async () => {
  const { fileStore, replayStore } = await import("eventferry/salesforce");
  const folder = mkdtempSync(join(tmpdir(), "readme-"));
  const path = join(folder, "marks");
  await runStream(
    "salesforce",
    [
      ['"orders.marks"', JSON.stringify(path)],
      ["{ replay: marks }", `{ replay: marks, ${FETCH} }`],
    ],
    (server, seen) => {
      if (!seen) return Response.json({ access_token: "T1", instance_url: "https://acme.my.salesforce.com" });
      const { channels, headers } = seen;
      assert.equal(headers.get("authorization"), "Bearer T1");
      // When the subscription is there, and the answer is on its way.
      if (channels.includes("/meta/subscribe"))
        setTimeout(() => server.publish("/event/Order__e", { payload: { Total__c: 7 }, event: { replayId: 42 } }));
    },
  );
  const storage = replayStore(fileStore(path));
  assert.equal((await storage.get("/event/Order__e")).replayId, "42");
  await storage.close();
  rmSync(folder, { recursive: true });
});

test("modes: the messages are as shown, and the structured one arrives", async () => {
  await runAlone("modes", { replace: channel("modes") });
  assert.deepEqual(
    arrived("modes").map(({ mode, event }) => [mode, event.id, event.time]),
    [["structured", "100 %", undefined]],
  );
});

for (const name of ["forward", "batch", "lenient", "messages", "errors", "testing", "testing-salesforce"])
  test(`${name}: prints what it says`, () => runAlone(name));

test("webhook: shakes hands, lets in and keeps out", async () => {
  const { CloudEvent, toRequest } = await import("eventferry");
  const { module, printed, expected } = await run("webhook");
  const hook = "https://example.com/hook";
  const handshake = await module.default.fetch(
    new Request(hook, { method: "OPTIONS", headers: { "webhook-request-origin": "events.example.com" } }),
  );
  assert.deepEqual(
    [handshake.headers.get("webhook-allowed-origin"), handshake.headers.get("webhook-allowed-rate")],
    ["events.example.com", "120"],
  );
  const deliver = async (headers) =>
    (await module.default.fetch(toRequest(hook, new CloudEvent({ id: "1", type: "t", source: "/s" }), { headers })))
      .status;
  assert.equal(await deliver({ authorization: "Bearer s3cret" }), 204);
  assert.equal(await deliver({}), 401);
  assert.equal(await deliver({ authorization: "Bearer s3cret", "webhook-request-origin": "other.example.com" }), 403);
  assert.deepEqual(printed, expected);
});

test("glassflow: what is published comes out transformed, or failed, and can be published again", async () => {
  const pipeline = emulator.glassflow.createPipeline({
    id: "orders",
    accessTokens: ["t0ken"],
    transform: ({ orderId, total }) => {
      if (typeof total !== "number") throw new TypeError("a total is a number");
      return { orderId, withTax: total * 1.2 };
    },
  });
  const replace = [["{ pipelineId:", `{ baseUrl: "${url}/glassflow/v1", pipelineId:`]];
  await runAlone("glassflow", { replace });
  assert.deepEqual(
    pipeline.published.map(({ payload }) => payload.orderId),
    [7, 8, 8],
  );
  assert.deepEqual(pipeline.waiting, { input: 0, output: 0, failed: 1 });

  const folder = mkdtempSync(join(tmpdir(), "eventferry-readme-"));
  try {
    await fetch(`${url}/glassflow/v1/pipelines/orders/topics/input/events`, {
      method: "POST",
      headers: { "x-pipeline-access-token": "t0ken" },
      body: '{"orderId":7,"total":1}',
    });
    emulator.faults.add({ match: "/glassflow", status: 503, times: 1 });
    await runAlone("glassflow-store", {
      replace: [...replace, ['"./orders-in-hand"', JSON.stringify(join(folder, "store"))]],
    });
    assert.equal(pipeline.waiting.output, 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("events-server and events-client: one answers the other", async () => {
  const { module } = await run("events-server");
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const answer = await module.default.fetch(
      new Request("http://localhost/", { method: request.method, body: Buffer.concat(chunks) }),
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await runAlone("events-client", {
      replace: [["https://example.com/events", `http://127.0.0.1:${server.address().port}/`]],
      more: "client.close();",
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("the answers of the events protocol are those of the code", () => {
  const server = read("src/events_protocol/server.rs");
  const rows = [...readme.matchAll(/^\| (?:that|with|whose) .*\| (.*?) \| (.*?) \|$/gm)];
  const codes = rows.flatMap(([, , cell]) => cell.match(/[A-Z]+(?:_[A-Z]+)+/g) ?? []);
  assert.deepEqual(
    [...new Set(codes)].sort(),
    [...new Set([...server.matchAll(/"\\"([A-Z_]+)\\""/g)].map(([, code]) => code))].sort(),
  );
});

test("salesforce-proxy: lets a page in that signed in, to the channels that it may see, with a token that it never sees", async () => {
  const { module } = await run("salesforce-proxy", {
    replace: [["https://acme.my.salesforce.com", `${url}/salesforce`]],
  });
  const send = (message, { origin = "https://app.example.com", cookie = "session=7" } = {}) =>
    module.default.fetch(
      new Request("https://edge.example.com/sf/cometd/60.0", {
        method: "POST",
        body: JSON.stringify([message]),
        headers: { origin, cookie, "content-type": "application/json" },
      }),
    );
  const handshake = { channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"] };
  const [{ clientId }] = await (await send(handshake)).json();
  const [event, other] = await Promise.all(
    ["/event/Order_Changed__e", "/event/Other__e"].map(
      async (subscription) => (await (await send({ channel: "/meta/subscribe", clientId, subscription })).json())[0],
    ),
  );
  assert.deepEqual([event.successful, other.successful, other.error], [true, false, "403::Restricted channel"]);
  assert.equal((await send(handshake, { cookie: "" })).status, 403);
  assert.equal((await send(handshake, { origin: "https://evil.example" })).status, 403);
  assert.equal(emulator.salesforce.logins.length, 1);
});

test("no block that says run= was left out", () => {
  assert.ok(blocks.size >= 10, `there are only ${blocks.size}`);
  assert.deepEqual([...untested], []);
  const fences = [...readme.matchAll(/^```(\S+)(.*)$/gm)].filter(
    ([, language, mark]) => /^(?:[cm]?[jt]sx?|javascript|typescript)$/.test(language) && !mark.startsWith(" run="),
  );
  assert.deepEqual(
    fences.map(([line]) => line),
    [],
    "every block of JavaScript runs",
  );
});

test("the table of errors is that of the code", () => {
  const rows = [
    ...read("js/engine/errors.ts").matchAll(/^ {2}\["(ERR_\w+)", "(\w+)", (true|false), "((?:[^"\\]|\\.)*)"\],$/gm),
  ];
  const codes = new Set(read("js/engine/errors.ts").match(/ERR_\w+/g));
  assert.equal(rows.length, codes.size, "the table of js/engine/errors.ts can be read");
  const shown = [...readme.matchAll(/^\| `(ERR_\w+)` \| (\w+) \| (yes|no) \| (.*) \|$/gm)].map(([, ...cells]) => cells);
  assert.deepEqual(
    shown,
    rows.map(([, code, culprit, retryable, sentence]) => [
      code,
      culprit,
      retryable === "true" ? "yes" : "no",
      sentence,
    ]),
  );
  for (const code of readme.match(/ERR_\w+/g)) assert.ok(codes.has(code), `there is no ${code}`);
  const culprits = new Set(rows.map(([, , culprit]) => culprit));
  for (const culprit of culprits) assert.ok(readme.includes(`\`${culprit}\`: `), `it says who ${culprit} is`);
});

test("every name that the README imports is there", async () => {
  const imports = [...readme.matchAll(/import (?:{([^}]*)}|\w+) from "(eventferry[^"]*)"/g)];
  assert.ok(imports.length >= 10);
  for (const [statement, names, specifier] of imports) {
    const subpath = `.${specifier.replace(/\?.*/, "").slice("eventferry".length)}`;
    assert.ok(subpath in manifest.exports, `${statement}: the package has no ${specifier}`);
    if (names === undefined) continue;
    const module = await import(specifier);
    for (const name of names
      .split(",")
      .map((name) => name.replace(/^\s*type\s/, "").trim())
      .filter(Boolean))
      assert.ok(name in module, `${specifier} has no ${name}`);
  }
  const firstCells = [...readme.matchAll(/^\| (`eventferry.*?) \|/gm)].map(([, cell]) => cell);
  const entries = firstCells
    .flatMap((cell) => cell.split("; "))
    .map((entry) => entry.replaceAll("`", "").replace("eventferry", "."));
  assert.deepEqual(
    entries.sort(),
    Object.keys(manifest.exports)
      .filter((entry) => entry !== "./package.json")
      .sort(),
  );
});

test("every function that the README names is there", async () => {
  const api = {
    ...(await import("eventferry")),
    ...(await import("eventferry/testing")),
    ...(await import("eventferry/slim")),
  };
  const members = new Set(
    Object.values(api)
      .filter((value) => value.prototype)
      .flatMap(({ prototype }) => Object.getOwnPropertyNames(prototype)),
  );
  const named = [...readme.matchAll(/`((?:to|from|batchFrom)[A-Z]\w*)[`(]/g)].map(([, name]) => name);
  assert.ok(named.length > 5);
  for (const name of named) assert.ok(name in api || members.has(name), `there is no ${name}`);
});

test("every script and file that the README names is there", () => {
  const scripts = [...readme.matchAll(/`npm (?:run (\w+)|(test))/g)].map(([, name, test]) => name ?? test);
  assert.ok(scripts.length >= 5);
  for (const name of scripts) assert.ok(name in manifest.scripts, `there is no npm run ${name}`);
  const linked = [...readme.matchAll(/\]\((?!https?:|#)([^)]+)\)/g)].map(([, path]) => path);
  const quoted = [...readme.matchAll(/`((?:src|js|tests|www)\/[\w./-]+)`/g)].map(([, path]) => path);
  for (const path of [...linked, ...quoted]) assert.ok(existsSync(join(root, path)), `there is no ${path}`);
});

test("the places for figures are there, once each and in order", () => {
  for (const name of ["bench", "size"])
    assert.match(readme, new RegExp(`^<!-- ${name} -->\\n[^]*?^<!-- /${name} -->$`, "m"));
  for (const mark of ["<!-- bench -->", "<!-- /bench -->", "<!-- size -->", "<!-- /size -->"])
    assert.equal(readme.split(mark).length, 2);
  assert.match(readme, /^## Speed$/m);
});

test("the limits are those of the code", () => {
  const MIB = 1024 * 1024;
  const number = (path, pattern) => Function(`return ${pattern.exec(read(path))[1].replaceAll("_", "")}`)();
  const limits = [
    ["128 MiB", 128 * MIB, number("js/engine/instance.ts", /MAX_INPUT_BYTES = ([\w]+)/)],
    ["16 MiB", 16 * MIB, number("js/systems/cloudevents/body.ts", /DEFAULT_MAX_BYTES = ([\d* ]+)/)],
    ["1 MiB", MIB, number("js/systems/cloudevents/webhook.ts", /maxBytes = ([\d* ]+)/)],
    ["1 MiB", MIB, number("js/systems/events-protocol/processor-options.ts", /const MIB = ([\d* ]+)/)],
    ["100", 100, number("js/systems/events-protocol/schema.ts", /MAX_FIELDS = (\d+)/)],
    ["16 KiB", 16 * 1024, number("js/systems/events-protocol/client.ts", /MAX_ERROR_BODY_BYTES = ([\d* ]+)/)],
    ["512", 512, number("src/base/json/scan.rs", /MAX_DEPTH: usize = (\d+)/)],
    ["128", 128, number("src/cloudevents/table.rs", /MAX_EXTENSIONS: usize = (\d+)/)],
    ["64 MiB", 64, number("src/bayeux/session/types.rs", /max_response_bytes: (\d+) << 20/)],
    [
      "64 KiB, Salesforce 32 KiB",
      65_536 + 32_768,
      number("src/bayeux/session/types.rs", /max_request_bytes: ([\d_]+)/) +
        number("src/salesforce/client.rs", /max_request_bytes: ([\d_]+)/),
    ],
    ["1 024", 1024, number("src/salesforce/replay.rs", /MAX_RECENT_IDS: usize = (\d+)/)],
    ["16 MiB", 16 * MIB, number("js/systems/glassflow/sink.ts", /DEFAULT_MAX_EVENT_BYTES = ([\d* ]+)/)],
    [
      "64 KiB and 10 MiB",
      64 * 1024,
      number("js/systems/salesforce/proxy/options.ts", /options\.maxRequestBytes, ([\d* ]+)\)/),
    ],
    [
      "64 KiB and 10 MiB",
      10 * MIB,
      number("js/systems/salesforce/proxy/options.ts", /options\.maxResponseBytes, ([\d* ]+)\)/),
    ],
    ["200 bytes", 200, number("src/base/error.rs", /MAX_DETAIL: usize = (\d+)/)],
  ];
  const column = [...readme.matchAll(/^## Limits\n([^]*?)^## /gm)][0][1]
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) => line.split(" | ")[1]);
  for (const [words, promised, actual] of limits) {
    assert.equal(actual, promised, words);
    assert.ok(
      column.some((cell) => cell === words || cell.startsWith(`${words},`)),
      `the table has ${words}`,
    );
  }
});
