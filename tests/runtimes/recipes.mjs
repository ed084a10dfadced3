// The recipes of the documentation for platforms that call a handler of `fetch` themselves, in workerd: Cloudflare Workers,
// Hono, and the route of Next.js, whose examples `tests/examples` also runs in Next.js itself.
import assert from "node:assert/strict";
import { readFileSync, symlinkSync, writeFileSync, existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { startWorkerd } from "./edges.mjs";

const docs = (page) => readFileSync(new URL(`../../www/docs/${page}.md`, import.meta.url), "utf8");
const LIMIT = 1024 * 1024;
const route = `
  export default { fetch: (request) => ({ POST, OPTIONS })[request.method]?.(request) ?? new Response(null, { status: 405 }) };`;

/** `path`: where it is mounted; `isGranted`: whether its page names an origin for the handshake. */
const RECIPES = [
  { name: "Cloudflare Workers", page: "webhooks", block: "webhook", path: "/", isGranted: true },
  { name: "Hono", page: "hono", block: "hono", path: "/events", isGranted: true },
  { name: "a route of Next.js", page: "next", block: "next-route", path: "/api/events", isGranted: false, more: route },
];

export async function recipes({ app }, tally) {
  const hono = join(app, "node_modules/hono");
  if (!existsSync(hono)) symlinkSync(fileURLToPath(new URL("servers/node_modules/hono", import.meta.url)), hono);
  for (const recipe of RECIPES)
    await tally.check(`the recipe for ${recipe.name}, in workerd`, () => check(app, recipe));
}

async function check(app, { page, block, path, isGranted, more = "" }) {
  const [, code] = new RegExp(`^\`\`\`js run=${block}\\n(.*?)^\`\`\`$`, "ms").exec(docs(page));
  const entry = `recipe-${block}.mjs`;
  writeFileSync(join(app, entry), code.replaceAll("process.env.HOOK_SECRET", '"s3cret"') + more);
  const events = await import(pathToFileURL(join(app, "node_modules/eventferry/dist/entries/cloudevents.js")).href);
  // The recipes write each event to the console.
  const handleRuntimeStdio = (...streams) => {
    for (const stream of streams) stream.resume();
  };
  const workerd = await startWorkerd(app, entry, { bindings: { HOOK_SECRET: "s3cret" }, handleRuntimeStdio });
  try {
    await run(events, await workerd.ready, path, isGranted);
  } finally {
    await workerd.dispose();
  }
}

async function run({ CloudEvent, toBatch, toBinary, toStructured }, base, path, isGranted) {
  const url = new URL(path, base);
  const event = new CloudEvent({ id: "1", type: "com.example.order.created", source: "/s", data: { text: "Euro €" } });
  const post = (message, authorization = "Bearer s3cret") =>
    fetch(url, { method: "POST", ...message, headers: { ...message.headers, authorization } });
  const answer = async (response) => [(await response).status, await (await response).text()];
  const stillServes = async () => assert.deepEqual(await answer(post(toBinary(event))), [204, ""]);

  for (const message of [toBinary(event), toStructured(event), toBatch([event, event.with({ id: "2" })])])
    assert.deepEqual(await answer(post(message)), [204, ""]);
  assert.equal((await post(toBinary(event), "Bearer other")).status, 401);

  const headers = { "webhook-request-origin": "events.example.com" };
  const consent = await fetch(url, { method: "OPTIONS", headers });
  assert.equal(consent.status, 200);
  assert.equal(consent.headers.get("webhook-allowed-origin"), isGranted ? "events.example.com" : null);

  const { headers: structured } = toStructured(event);
  const large = post({ headers: structured, body: " ".repeat(LIMIT + 1) });
  assert.deepEqual(await answer(large), [413, `the body is larger than the limit of ${LIMIT} bytes\n`]);
  await stillServes();

  const socket = connect(url.port, url.hostname);
  socket.on("error", () => undefined);
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\nContent-Length: 5000\r\n\r\n{"id"`,
  );
  await stillServes();
  socket.destroy();
  await stillServes();

  const answers = Array.from({ length: 200 }, (_, at) => answer(post(toBinary(event.with({ id: `e${at}` })))));
  for (const one of await Promise.all(answers)) assert.deepEqual(one, [204, ""]);
}
