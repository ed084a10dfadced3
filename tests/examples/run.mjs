// Runs the examples of www/examples with the packed package, as their READMEs say. The emulator and the examples listen on
// free ports.
//
//   node tests/examples/run.mjs           those that install in seconds
//   node tests/examples/run.mjs --heavy   those with Vite, Next.js and wrangler
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createEmulator } from "../../dist/entries/testing.js";
import { CloudEvent, toRequest } from "../../dist/entries/cloudevents.js";
import { start as startBrowser } from "../browser.mjs";
import { freePort, openProject } from "../project.mjs";
import { installPackage } from "../runtimes/install.mjs";
import { Tally } from "../tally.mjs";

const EXAMPLES = new URL("../../www/examples/", import.meta.url).pathname;
const RUNTIMES = new URL("../runtimes/node_modules/.bin/", import.meta.url).pathname;
const LIGHT = { "node-salesforce": nodeSalesforce, "deno-consumer": denoConsumer, "hono-middleware": honoMiddleware };
const HEAVY = { "worker-webhook": workerWebhook, "vite-offline": viteOffline, "next-app": nextApp };

const tally = new Tally();
const installation = await installPackage();
const only = process.argv.slice(2).filter((name) => !name.startsWith("--"));
const chosen = process.argv.includes("--heavy") ? HEAVY : LIGHT;
for (const [name, run] of Object.entries(chosen)) {
  if (only.length > 0 && !only.includes(name)) continue;
  await tally.check(`example ${name}`, () => inFolder(name, run));
}
tally.finish();

/** Runs an example beside an emulator. */
async function inFolder(name, run) {
  const project = await openProject(join(EXAMPLES, name), installation);
  const emulator = createEmulator();
  const pipeline = emulator.glassflow.createPipeline({ id: "demo", accessTokens: ["demo"] });
  const { url } = await emulator.listen();
  try {
    await run({ ...project, emulator, pipeline, url });
  } finally {
    await project.close();
    await emulator.close();
  }
}

async function nodeSalesforce({ serve, emulator, url }) {
  const env = {
    SALESFORCE_LOGIN_URL: `${url}/salesforce`,
    SALESFORCE_CONSUMER_KEY: "key",
    SALESFORCE_CONSUMER_SECRET: "secret",
    SALESFORCE_USERNAME: "me",
    SALESFORCE_PASSWORD: "pw",
  };
  // Without npm, which ends before the program has.
  const first = await serve("exec node consumer.mjs", /waiting for events/, { env });
  emulator.salesforce.publish("/event/Order__e", { Total__c: 7 });
  await first.until(/event \d+: .*"Total__c":7/);
  await first.interrupt();
  emulator.salesforce.publish("/event/Order__e", { Total__c: 8 });
  const second = await serve("npm start", /event \d+: .*"Total__c":8/, { env });
  if (second.output().includes('"Total__c":7')) throw new Error("an event that was finished came again");
}

async function denoConsumer({ serve, emulator, url }) {
  const env = { GLASSFLOW_URL: `${url}/glassflow/v1` };
  const consumer = await serve(`${RUNTIMES}deno task start`, /waiting for events/, { env });
  await emulator.fetch(`${url}/glassflow/v1/pipelines/demo/topics/input/events`, {
    method: "POST",
    headers: { "x-pipeline-access-token": "demo" },
    body: '{"orderId":7}',
  });
  await consumer.until(/event \S+: \{"orderId":7\}/);
}

async function honoMiddleware({ serve }) {
  const server = await serve("npm start", /listening on (http:\S+)/, { env: { PORT: "0" } });
  await deliver(`${server.match[1]}/events`);
  await server.until(/com\.example\.hello/);
}

async function workerWebhook({ place, serve, pipeline, url }) {
  const { GLASSFLOW_URL } = JSON.parse(readFileSync(join(place, "wrangler.jsonc"), "utf8")).vars;
  if (new URL(GLASSFLOW_URL).pathname !== "/glassflow/v1") throw new Error(`the address is ${GLASSFLOW_URL}`);
  const port = await freePort();
  const command = `npm start -- --port ${port} --var GLASSFLOW_URL:${url}/glassflow/v1`;
  await serve(command, /Ready on/, { seconds: 120 });
  await deliver(`http://127.0.0.1:${port}/`);
  if (pipeline.published[0]?.payload.data.hello !== "world") throw new Error("the pipeline does not have the event");
}

async function viteOffline({ shell, serve, emulator, url }) {
  await shell("npm run build", { env: { VITE_EVENTS_URL: `${url}/cloudevents/tasks` } });
  const port = await freePort();
  await serve(`npm run preview -- --port ${port} --strictPort --host 127.0.0.1`, /127\.0\.0\.1/);
  const browser = await startBrowser("chrome");
  try {
    emulator.faults.add({ match: "/cloudevents", status: 503, times: 1 });
    await browser.open(`http://127.0.0.1:${port}/`);
    await browser.evaluate(`
      document.querySelector("[name=title]").value = "buy coffee";
      document.querySelector("button").click();
    `);
    const [{ event }] = await emulator.cloudEvents.waitFor(1, { timeoutMs: 60_000 });
    if (event.data.title !== "buy coffee") throw new Error(`it received ${event}`);
  } finally {
    await browser.close();
  }
}

async function nextApp({ shell, serve }) {
  const env = { HOOK_SECRET: "s3cret" };
  await shell("npm run build", { env, minutes: 10 });
  const port = await freePort();
  const server = await serve(`npm start -- --port ${port}`, /Ready|started/i, { env });
  await deliver(`http://127.0.0.1:${port}/api/events`);
  await server.until(/com\.example\.hello/);
  const page = await (await fetch(`http://127.0.0.1:${port}/`)).text();
  if (!page.includes("Publish")) throw new Error("the page is not rendered");
}

/** Delivers an event as the READMEs do with curl. */
async function deliver(address) {
  const event = new CloudEvent({ type: "com.example.hello", source: "/shell", id: "1", data: { hello: "world" } });
  const status = async (secret) =>
    (await fetch(toRequest(address, event, { headers: { authorization: `Bearer ${secret}` } }))).status;
  const statuses = [await status("s3cret"), await status("other")];
  if (statuses.join() !== "204,401") throw new Error(`${address} answered ${statuses.join(", ")}`);
}
