// The demo without a browser: the files it serves, the imports of the page, and the flow of events.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { EXAMPLES, SIGNED_HOOK } from "../../www/demo/examples.js";
import { markError } from "../../www/demo/lab-filter.js";
import { makeEvents, readEvents } from "../../www/demo/lab-events.js";
import { run } from "../../www/demo/runner.js";
import { sizeRows } from "../../www/demo/sizes.js";

const cli = fileURLToPath(new URL("../../js/cli/eventferry.mjs", import.meta.url));
/** From here npm cloudevents can be resolved. */
const folder = fileURLToPath(new URL("../demo", import.meta.url));
// Not `npm run demo`, which would build what is missing while other tests use dist/.
const demo = (port) =>
  spawn(process.execPath, [cli, "demo", "--port", port], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
let child;
let url;

before(async () => {
  assert.ok(existsSync(join(folder, "node_modules/cloudevents")), "`npm ci` has to run in tests/demo first");
  child = demo("0");
  let output = "";
  for await (const chunk of child.stdout) {
    output += chunk;
    if (output.includes("Ctrl-C")) break;
  }
  url = /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0];
  assert.ok(url, output);
});
after(() => child.kill("SIGKILL"));

test("the demo serves the page, its style, its script and the package, and no other file", async () => {
  for (const [path, type] of [
    ["/", "text/html"],
    ["/main.js", "text/javascript"],
    ["/style.css", "text/css"],
    ["/demo/picture.css", "text/css"],
    ["/worker.js", "text/javascript"],
    ["/docs/outbox.md", "text/plain"],
    ["/modules/cloudevents/bundles/cloudevents.js", "text/javascript"],
    ["/wasm/publish.inline.js", "text/javascript"],
  ]) {
    const answer = await fetch(url + path);
    assert.equal(answer.status, 200, path);
    assert.ok(answer.headers.get("content-type").startsWith(type), path);
    await answer.body.cancel();
  }
  for (const path of [
    "/package.json",
    "/../package.json",
    "/dist/../package.json",
    "/%2e%2e/js/errors.ts",
    "/..%2f..%2fpackage.json",
    "/dist/..%5c..%5cpackage.json",
    "/x.js%00",
    "/modules/esbuild/lib/main.js",
    "/modules/yaml/../esbuild/lib/main.js",
    "/dist/entries/outbox.js",
    "/wasm/publish.glue.js",
    "/docs/",
    "/%",
  ]) {
    // Not with fetch, which would normalize the path.
    const [answer] = await once(request(url, { path }).end(), "response");
    answer.resume();
    assert.ok(answer.statusCode === 404 || answer.statusCode === 400, `${path}: ${answer.statusCode}`);
  }
});

test("every import of the page can be loaded, and few files are needed for the first event", async () => {
  const html = await (await fetch(`${url}/`)).text();
  const scripts = new Map();
  const pending = [`${url}/main.js`];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    if (scripts.has(at)) continue;
    const answer = await fetch(at);
    assert.equal(answer.status, 200, at);
    const text = await answer.text();
    // What the bundler leaves is relative. The programs that the page shows import by name.
    const later = [...text.matchAll(/\bimport\("(\.\/[^"]+)"\)/g)].map(([, path]) => path);
    const first = [...text.matchAll(/\b(?:from|import)"(\.\/[^"]+)"/g)].map(([, path]) => path);
    scripts.set(at, first);
    pending.push(...[...first, ...later].map((path) => new URL(path, at).href));
  }
  const first = scripts.get(`${url}/main.js`);
  assert.ok(first.includes("./wasm/publish.inline.js") && first.length <= 4, first.join());
  for (const path of first) {
    assert.ok(html.includes(`<link rel="modulepreload" href="${path}">`), path);
    assert.deepEqual(scripts.get(new URL(path, `${url}/`).href), [], "one level of imports");
  }
  assert.ok(scripts.has(`${url}/wasm/streams.inline.js`), [...scripts.keys()].join());
});

test("the page has every element that its script uses, and loads nothing from other hosts", async () => {
  const html = await (await fetch(`${url}/`)).text();
  const files = ["demo/picture.js", "demo/programs.js", "demo/lab.js"];
  const script = files.map((file) => readFileSync(new URL(`../../www/${file}`, import.meta.url), "utf8")).join("");
  for (const [, id] of script.matchAll(/\$\("([^"]+)"\)/g)) {
    if (id !== "field-error") assert.ok(html.includes(`id="${id}"`), id);
  }
  assert.doesNotMatch(html, /(?:src|href)="https?:/, "the page loads nothing from other hosts");
});

test("the programs of the page run as they are shown", async () => {
  const printed = async (code) => {
    const lines = [];
    await run(code, (line) => lines.push(line));
    return lines;
  };
  const last = {
    cloudevents: "ERR_INVALID_ATTRIBUTE_VALUE source",
    glassflow: 'failed: {"orderId":8,"total":"free"} TypeError: a total is a number',
    "brite-events": "delivered in all: 2",
    salesforce: "after the restart: 5 4",
    "events-protocol": 'notFound NO_SUCH_USER {"userId":8}',
  };
  assert.deepEqual(
    EXAMPLES.map(({ id }) => id),
    Object.keys(last),
  );
  for (const { id, code, guide } of EXAMPLES) {
    assert.equal((await printed(code)).at(-1), last[id], id);
    assert.ok(existsSync(new URL(`../../www/docs/${guide}.md`, import.meta.url)), guide);
  }
  assert.deepEqual(await printed(SIGNED_HOOK), [
    "received: 18",
    "204",
    "refused: no signature in the header webhook-signature matches",
    "401",
  ]);
});

test("where npm cloudevents is not installed, the page is told so without an error", async () => {
  const other = spawn(process.execPath, [cli, "demo", "--port=0"], {
    cwd: tmpdir(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [output] = await once(other.stdout, "data");
    const [base] = /http:\/\/127\.0\.0\.1:\d+/.exec(String(output));
    const answer = await fetch(`${base}/modules/cloudevents/bundles/cloudevents.js`);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /^\/\/ npm cloudevents is not installed here\n$/);
  } finally {
    other.kill("SIGKILL");
  }
});

test("the batch lab reads a batch, lines, and one event, and names the place of an error", () => {
  assert.equal(readEvents(makeEvents(1000)).batch.length, 1000);
  const event = (id) => `{"specversion":"1.0","id":"${id}","source":"/s","type":"t"}`;
  assert.equal(readEvents(`${event(1)}\n${event(2)}`).batch.length, 2);
  assert.equal(readEvents(JSON.stringify(JSON.parse(event(1)), null, 2)).batch.length, 1);
  const { batch, rejected } = readEvents(`[${event(1)}, {"id":"2"}]`);
  assert.deepEqual([batch.length, rejected.length, rejected[0].index], [1, 1, 1]);
  assert.throws(() => readEvents(`[${event("å")},\n{"specversion":`), /: line 2, column \d+$/);
  assert.throws(() => readEvents("hello"), /Expected \[ or { at the start; found "hello"/);
  assert.throws(() => readEvents("  "), /There is no event/);
  assert.equal(markError("type = ", "the CESQL expression is not valid at position 7: …"), "type = \n       ^");
  assert.equal(markError("a = 1 AND\nb >", "not valid at position 13"), "b >\n   ^");
  assert.equal(markError("{", "filter must be an object"), "");
});

test("the table of sizes has the rows of the guide", () => {
  const rows = sizeRows(readFileSync(new URL("../../www/docs/performance.md", import.meta.url), "utf8"));
  assert.equal(rows.filter(({ what }) => what.includes("eventferry")).length, 10);
  assert.ok(rows.some(({ what, brotli }) => what.startsWith("npm `cloudevents`") && /^[\d.]+ KB$/.test(brotli)));
});

test("a program that cannot run says why", async () => {
  const ignore = () => undefined;
  await assert.rejects(
    run('import { x } from "left-pad";', ignore),
    /^Error: this page has no left-pad; it has eventferry, /,
  );
  await assert.rejects(run('import { x } from "eventferry";', ignore), /eventferry has no x$/);
  await assert.rejects(run("const x = ;", ignore), SyntaxError);
});

test("the demo reports a port in use, and exits with 0 on Ctrl-C", async () => {
  const second = demo(new URL(url).port);
  second.stdout.resume();
  const [output] = await once(second.stderr, "data");
  assert.match(String(output), /port \d+ is in use; choose another one with --port=<port>/);
  const stream = await fetch(`${url}/cloudevents/demo/stream`);
  child.stdout.resume();
  child.kill("SIGINT");
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
  await assert.rejects(stream.text());
});
