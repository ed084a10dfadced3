// The demo without a browser: what it serves, that the page's imports lead somewhere, and that events flow.
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
  let words = "";
  for await (const chunk of child.stdout) {
    words += chunk;
    if (words.includes("Ctrl-C")) break;
  }
  url = /http:\/\/127\.0\.0\.1:\d+/.exec(words)?.[0];
  assert.ok(url, words);
});
after(() => child.kill("SIGKILL"));

test("serves the page, its style and its script, and nothing else", async () => {
  for (const [path, type] of [
    ["/", "text/html"],
    ["/main.js", "text/javascript"],
    ["/style.css", "text/css"],
    ["/dist/wasm/full.wasm", "application/wasm"],
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
    // Not with fetch, which would tidy the path up.
    const [answer] = await once(request(url, { path }).end(), "response");
    answer.resume();
    assert.ok(answer.statusCode === 404 || answer.statusCode === 400, `${path}: ${answer.statusCode}`);
  }
});

test("every import of the page is there", async () => {
  const html = await (await fetch(`${url}/`)).text();
  const { imports } = JSON.parse(/<script type="importmap">(.*?)<\/script>/s.exec(html)[1]);
  const todo = [`${url}/main.js`];
  const seen = new Set();
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    const answer = await fetch(at);
    assert.equal(answer.status, 200, at);
    for (const [, name] of (await answer.text()).matchAll(
      /^(?:import|export)\b[^"';]*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"/gm,
    ))
      todo.push(new URL(imports[name] ?? name, at).href);
  }
  assert.ok(seen.has(`${url}/dist/entries/index.js`));
  assert.ok(seen.size > 8, [...seen].join());
});

test("names every element that its script asks for", async () => {
  const html = await (await fetch(`${url}/`)).text();
  const script = await (await fetch(`${url}/main.js`)).text();
  for (const [, id] of script.matchAll(/\$\("([^"]+)"\)/g)) {
    if (id !== "field-error") assert.ok(html.includes(`id="${id}"`), id);
  }
  assert.doesNotMatch(html, /(?:src|href)="https?:/, "nothing comes from elsewhere");
});

test("events flow, also through trouble", async () => {
  const send = () =>
    fetch(`${url}/cloudevents/demo`, {
      method: "POST",
      ...toStructured(new CloudEvent({ type: "t", source: "/demo", data: 7 })),
    });
  const stream = (await fetch(`${url}/cloudevents/demo/stream?after=0`)).body.pipeThrough(new TextDecoderStream());
  assert.equal((await send()).status, 204);
  let text = "";
  for await (const chunk of stream) if (/\ndata: .*\n\n/.test((text += chunk))) break;
  assert.equal(fromHttp({ "content-type": "application/cloudevents+json" }, /\ndata: (.*)\n/.exec(text)[1]).data, 7);

  const arrange = async (method, kind) =>
    (await fetch(`${url}/demo/trouble${kind ? `?kind=${kind}` : ""}`, { method })).json();
  assert.deepEqual(await arrange("POST", "refusal"), { pending: 1, isClosed: false });
  const refused = await send();
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  assert.deepEqual(await arrange("GET"), { pending: 0, isClosed: false });
  await arrange("POST", "lost");
  await assert.rejects(send(), TypeError);
  await arrange("POST", "delay");
  assert.deepEqual(await arrange("DELETE"), { pending: 0, isClosed: false });
  assert.equal((await send()).status, 204);
  assert.equal((await fetch(`${url}/demo/trouble?kind=other`, { method: "POST" })).status, 400);
  assert.equal((await (await fetch(`${url}/cloudevents/demo/events`)).json()).length, 3, "the lost one is there");
});

test("says that a port is taken, and ends on Ctrl-C", async () => {
  const second = demo(new URL(url).port);
  second.stdout.resume();
  const [words] = await once(second.stderr, "data");
  assert.match(String(words), /cannot listen on 127\.0\.0\.1:\d+/);
  const stream = await fetch(`${url}/cloudevents/demo/stream`);
  child.stdout.resume();
  child.kill("SIGINT");
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
  await assert.rejects(stream.text());
});
