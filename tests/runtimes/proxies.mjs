// The proxy to Salesforce on each kind of server, and for real pages of another origin: they log in, subscribe, connect,
// receive and leave.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { ENGINES, start as startBrowser } from "../browser.mjs";
import { end, start } from "../child.mjs";

const PAGE = "https://app.example.com";
const CHANNEL = "/event/A__e";
const bin = (name) => fileURLToPath(new URL(`node_modules/.bin/${name}`, import.meta.url));

export async function proxies({ app }, tally) {
  const folder = join(app, "node_modules/eventferry/dist");
  const from = pathToFileURL(join(folder, "systems/salesforce/proxy.js")).href;
  const { createEmulator } = await import(pathToFileURL(join(folder, "entries/testing.js")).href);
  const emulator = createEmulator();
  const { url } = await emulator.listen();
  const options = { instanceUrl: `${url}/salesforce`, allowedOrigins: [PAGE] };
  try {
    await tally.check("the proxy to Salesforce in Node", () => inNode(createEmulator, from, options, emulator));
    await tally.check("the proxy to Salesforce in workerd", () =>
      inWorkerd(join(app, "built", "proxy"), join(folder, "systems/salesforce/proxy.js"), options, emulator),
    );
    await tally.check("the proxy to Salesforce in Deno", () =>
      inProgram(
        app,
        from,
        options,
        emulator,
        bin("deno"),
        ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1"],
        "Deno.serve({ hostname: '127.0.0.1', port: 0, onListen: ({ port }) => console.log(port) }, proxy)",
      ),
    );
    await tally.check("the proxy to Salesforce in Bun", () =>
      inProgram(
        app,
        from,
        options,
        emulator,
        bin("bun"),
        [],
        "console.log(Bun.serve({ hostname: '127.0.0.1', port: 0, idleTimeout: 0, fetch: proxy }).port)",
      ),
    );
    for (const engine of ENGINES)
      await tally.check(`the proxy to Salesforce for a page of another origin in ${engine}`, () =>
        inBrowser(engine, createEmulator, from),
      );
  } finally {
    await emulator.close();
  }
}

/**
 * Does what a page does, through the proxy at the URL `edge`, and checks the results.
 *
 * @param options.seesAborts whether the server learns that a page has aborted a connect; workerd continues even a plain `fetch`
 */
async function useProxy(edge, { salesforce }, { seesAborts = true } = {}) {
  salesforce.restart();
  const send = (path, type, body, more = {}) =>
    fetch(edge + path, {
      method: "POST",
      body,
      ...more,
      headers: { origin: PAGE, "content-type": type, ...more.headers },
      signal: more.signal ?? AbortSignal.timeout(20_000),
    });
  const form = new URLSearchParams({
    grant_type: "password",
    client_id: "k",
    client_secret: "s",
    username: "u",
    password: "p",
  });
  const login = await send("/services/oauth2/token", "application/x-www-form-urlencoded", form);
  const { access_token, instance_url } = await login.json();
  ensureEqual(instance_url, edge, "instance_url");
  ensureEqual(login.headers.get("access-control-allow-origin"), PAGE, "the allowed origin");
  let clientId;
  let count = 0;
  const sendMessage = async (channel, more, init) => {
    const message = { channel, id: String(++count), ...(clientId && { clientId }), ...more };
    const answer = await send("/cometd/60.0", "application/json", JSON.stringify([message]), {
      ...init,
      headers: { authorization: `Bearer ${access_token}` },
    });
    ensureEqual(answer.headers.get("set-cookie"), null, "cookies");
    return answer.json();
  };
  const connect = (init) => sendMessage("/meta/connect", { connectionType: "long-polling" }, init);
  [{ clientId }] = await sendMessage("/meta/handshake", { supportedConnectionTypes: ["long-polling"] });
  await connect();
  ensureEqual(
    (await sendMessage("/meta/subscribe", { subscription: CHANNEL }))[0].successful,
    true,
    "the subscription",
  );
  const poll = connect();
  await salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
  salesforce.publish(CHANNEL, { N__c: 7 });
  ensureEqual((await poll)[0].data.payload.N__c, 7, "the event");
  const aborter = new AbortController();
  const left = connect({ signal: aborter.signal }).catch((error) => error.name);
  await salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
  aborter.abort();
  ensureEqual(await left, "AbortError", "the error of the aborted connect");
  if (seesAborts) await salesforce.waitFor(({ sessions }) => !sessions.some(({ isHeld }) => isHeld));
  const other = await fetch(`${edge}/cometd/60.0`, {
    method: "POST",
    body: "[]",
    headers: { origin: "https://evil.example" },
  });
  ensureEqual(other.status, 403, "the status for another origin");
  return `login, subscription, connect, event, ${seesAborts ? "abort, " : ""}refusal`;
}

function ensureEqual(actual, expected, name) {
  if (actual !== expected) throw new Error(`${name}: expected ${expected}, received ${actual}`);
}

/** In Node, on the HTTP server of the emulator, which takes such handlers as services. */
async function inNode(createEmulator, from, options, emulator) {
  const { salesforceProxy } = await import(from);
  const host = createEmulator({ services: [{ prefix: "/sf", cors: "none", handle: salesforceProxy(options) }] });
  try {
    return await useProxy(`${(await host.listen()).url}/sf`, emulator);
  } finally {
    await host.close();
  }
}

/** Salesforce without CORS, as it is: a page reaches it only through the proxy, which neither sets nor needs cookies. */
async function inBrowser(engine, createEmulator, from) {
  const { salesforceProxy } = await import(from);
  const salesforce = createEmulator({
    salesforce: { cors: false },
    services: [
      {
        prefix: "/page",
        handle: () => new Response("<!doctype html><title>page</title>", { headers: { "content-type": "text/html" } }),
      },
    ],
  });
  const { url } = await salesforce.listen();
  // For a browser this is another host, origin and site.
  const page = url.replace("127.0.0.1", "localhost");
  const proxy = salesforceProxy({ instanceUrl: `${url}/salesforce`, allowedOrigins: [page] });
  const host = createEmulator({ services: [{ prefix: "/sf", cors: "none", handle: proxy }] });
  const edge = `${(await host.listen()).url}/sf`;
  let browser;
  try {
    browser = await startBrowser(engine);
    await browser.open(`${page}/page`);
    const inPage = `
      let [base, channel, step, state] = arguments;
      const send = (path, type, body, headers) => fetch(base + path, { method: "POST", body, credentials: "include", headers: { "content-type": type, ...headers } });
      const sendMessage = async (more) => (await send("/cometd/60.0", "application/json", JSON.stringify([{ id: "1", clientId: state?.clientId, ...more }]), { authorization: "Bearer " + state.token })).json();
      const connect = () => sendMessage({ channel: "/meta/connect", connectionType: "long-polling" });
      if (step === "poll") return (await connect()).map(({ data }) => data?.payload.N__c ?? null);
      const login = await send("/services/oauth2/token", "application/x-www-form-urlencoded", new URLSearchParams({ grant_type: "password", client_id: "k", client_secret: "s", username: "u", password: "p" }));
      state = { token: (await login.json()).access_token };
      [{ clientId: state.clientId }] = await sendMessage({ channel: "/meta/handshake", supportedConnectionTypes: ["long-polling"] });
      await connect();
      await sendMessage({ channel: "/meta/subscribe", subscription: channel });
      return { ...state, cookies: document.cookie };`;
    const state = await browser.evaluate(inPage, edge, CHANNEL, "open");
    salesforce.salesforce.publish(CHANNEL, { N__c: 7 });
    ensureEqual(
      JSON.stringify(await browser.evaluate(inPage, edge, CHANNEL, "poll", state)),
      "[7,null]",
      "the events of the connect",
    );
    ensureEqual(
      await browser.evaluate(inPage, `${url}/salesforce`, CHANNEL, "open").catch(() => "refused"),
      "refused",
      "without the proxy",
    );
    return browser.name;
  } finally {
    await browser?.close();
    await host.close();
    await salesforce.close();
  }
}

async function inWorkerd(folder, path, options, emulator) {
  mkdirSync(folder, { recursive: true });
  const script = `import { salesforceProxy } from ${JSON.stringify(path)}; export default { fetch: salesforceProxy(${JSON.stringify(options)}) };`;
  await build({
    stdin: { contents: script, resolveDir: folder },
    outfile: join(folder, "worker.mjs"),
    bundle: true,
    format: "esm",
    conditions: ["workerd"],
    logLevel: "error",
  });
  const workerd = new Miniflare({
    modules: true,
    scriptPath: join(folder, "worker.mjs"),
    modulesRoot: folder,
    compatibilityDate: "2025-05-05",
    cf: false,
    host: "127.0.0.1",
  });
  try {
    const url = await workerd.ready;
    return await useProxy(`${url.origin}/sf`, emulator, { seesAborts: false });
  } finally {
    await workerd.dispose();
  }
}

async function inProgram(app, from, options, emulator, program, args, serve) {
  const script = join(app, `proxy-${program.split("/").at(-1)}.mjs`);
  writeFileSync(
    script,
    `import { salesforceProxy } from ${JSON.stringify(from)};\nconst proxy = salesforceProxy(${JSON.stringify(options)});\n${serve};\n`,
  );
  const child = start(program, [...args, script], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const { value: port } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
    return await useProxy(`http://127.0.0.1:${port}/sf`, emulator);
  } finally {
    end(child);
  }
}
