// The demo without a browser: the files it serves, the imports of the page, and the flow of events.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CloudEvent, fromHttp, toStructured } from "../../dist/entries/cloudevents.js";

const demo = (port) =>
  spawn(process.execPath, [fileURLToPath(new URL("../../www/demo.mjs", import.meta.url)), "--port", port], {
    stdio: ["ignore", "pipe", "pipe"],
  });
let child;
let url;

before(async () => {
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
    ["/dist/wasm/publish.wasm", "application/wasm"],
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
    "/dist/",
    "/%",
  ]) {
    // Not with fetch, which would normalize the path.
    const [answer] = await once(request(url, { path }).end(), "response");
    answer.resume();
    assert.ok(answer.statusCode === 404 || answer.statusCode === 400, `${path}: ${answer.statusCode}`);
  }
});

test("every import of the page can be loaded", async () => {
  const html = await (await fetch(`${url}/`)).text();
  const { imports } = JSON.parse(/<script type="importmap">(.*?)<\/script>/s.exec(html)[1]);
  const pending = [`${url}/main.js`];
  const seen = new Set();
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    const answer = await fetch(at);
    assert.equal(answer.status, 200, at);
    for (const [, from, bare] of (await answer.text()).matchAll(
      /^(?:import|export)\b[^"';]*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"/gm,
    )) {
      const name = from ?? bare;
      pending.push(new URL(imports[name] ?? name, at).href);
    }
  }
  assert.ok(seen.has(`${url}/dist/entries/index.js`));
  assert.ok(seen.size > 8, [...seen].join());
});

test("the page has every element that its script uses, and loads nothing from other hosts", async () => {
  const html = await (await fetch(`${url}/`)).text();
  const script = await (await fetch(`${url}/main.js`)).text();
  for (const [, id] of script.matchAll(/\$\("([^"]+)"\)/g)) {
    if (id !== "field-error") assert.ok(html.includes(`id="${id}"`), id);
  }
  assert.doesNotMatch(html, /(?:src|href)="https?:/, "the page loads nothing from other hosts");
});

test("events are streamed to the page, and the faults of the page apply to deliveries", async () => {
  const send = () =>
    fetch(`${url}/cloudevents/demo`, {
      method: "POST",
      ...toStructured(new CloudEvent({ type: "t", source: "/demo", data: 7 })),
    });
  const stream = (await fetch(`${url}/cloudevents/demo/stream?after=0`)).body.pipeThrough(new TextDecoderStream());
  assert.equal((await send()).status, 204);
  let text = "";
  for await (const chunk of stream) {
    text += chunk;
    if (/\ndata: .*\n\n/.test(text)) break;
  }
  assert.equal(fromHttp({ "content-type": "application/cloudevents+json" }, /\ndata: (.*)\n/.exec(text)[1]).data, 7);

  const fault = async (method, kind) =>
    (await fetch(`${url}/demo/fault${kind ? `?kind=${kind}` : ""}`, { method })).json();
  assert.deepEqual(await fault("POST", "refusal"), { pending: 1, isOutage: false });
  const refused = await send();
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  assert.deepEqual(await fault("GET"), { pending: 0, isOutage: false });
  await fault("POST", "lost");
  await assert.rejects(send(), TypeError);
  await fault("POST", "delay");
  assert.deepEqual(await fault("DELETE"), { pending: 0, isOutage: false });
  assert.equal((await send()).status, 204);
  assert.equal((await fetch(`${url}/demo/fault?kind=other`, { method: "POST" })).status, 400);
  assert.equal(
    (await (await fetch(`${url}/cloudevents/demo/events`)).json()).length,
    3,
    "the event whose response was lost is stored",
  );
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
