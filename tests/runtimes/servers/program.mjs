// The cases of servers, with node:http and, if `--frameworks` is given, Express 4 and 5 and Fastify, both as the pages of the
// documentation mount them and after their body parsers. It prints the report of all as its last line.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { CloudEvent, toBinary, toStructured, webhook } from "eventferry/cloudevents";
import { fromIncoming, toNodeHandler } from "eventferry/node";
import { SERVER_CASES } from "./server-cases.mjs";

let checks = 0;
const problems = [];
for (const kind of ["unhandledRejection", "uncaughtException"])
  process.on(kind, (error) => problems.push(`${kind}: ${error?.stack}`));
async function check(name, run) {
  checks++;
  const timeout = new Promise((_, reject) => setTimeout(() => reject(new Error("timed out")), 40_000).unref?.());
  try {
    await Promise.race([run(), timeout]);
  } catch (error) {
    problems.push(`${name}: ${error?.stack ?? error}`);
  }
}

const onError = () => undefined;
const servers = {
  "node:http": ({ handle, read }) => {
    const hooks = toNodeHandler(handle, { onError });
    return listen(createServer((request, response) => (request.url === "/read" ? read : hooks)(request, response)));
  },
};
const event = new CloudEvent({ type: "com.example.order.created", source: "/s", data: { n: 1 } });
const post = (port, message) => fetch(`http://127.0.0.1:${port}/hooks`, { method: "POST", ...message });

async function listen(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections?.();
    return new Promise((resolve) => server.close(resolve));
  };
  return { port: server.address().port, close };
}

/** Fastify starts its server itself. */
async function listenFastify(app) {
  await app.listen({ port: 0, host: "127.0.0.1" });
  const close = () => {
    app.server.closeAllConnections();
    return app.close();
  };
  return { port: app.server.address().port, close };
}

if (process.argv.includes("--frameworks")) {
  for (const name of ["express4", "express"]) {
    const { default: express } = await import(name);
    const expressWith = (mount) => {
      const app = express();
      // The error handler of Express writes to the console.
      app.set("env", "test");
      mount(app);
      return listen(createServer(app));
    };
    servers[name] = ({ handle, read }) =>
      expressWith((app) => {
        app.all("/hooks", toNodeHandler(handle));
        app.post("/read", read);
      });
    servers[`${name} after express.raw`] = ({ handle, read }) =>
      expressWith((app) => {
        app.use(express.raw({ type: "*/*", limit: "1mb" }));
        app.all("/hooks", toNodeHandler(handle));
        app.post("/read", read);
      });
    await check(`${name} in a router sees the whole URL`, async () => {
      const seen = [];
      const router = express.Router();
      router.post(
        "/hooks",
        toNodeHandler((request) => new Response(String(seen.push(new URL(request.url).pathname)))),
      );
      const { port, close } = await expressWith((app) => app.use("/v1", router));
      await fetch(`http://127.0.0.1:${port}/v1/hooks`, { method: "POST", body: "{}" });
      assert.deepEqual(seen, ["/v1/hooks"]);
      await close();
    });
    await check(
      `${name} after express.json: lossless values are taken, others get the sentence that helps`,
      async () => {
        const parser = express.json({ type: ["application/json", "application/*+json"] });
        const messages = [];
        const { port, close } = await expressWith((app) => {
          app.use(parser);
          app.all("/hooks", toNodeHandler(webhook({ allowedOrigins: "*", onEvent: () => undefined })));
          app.use((error, request, response, next) => {
            messages.push(error.message);
            if (response.headersSent) return next(error);
            response.status(500).end();
          });
        });
        for (const message of [toBinary(event), toStructured(event)])
          assert.equal((await post(port, message)).status, 204);
        const { headers } = toStructured(event);
        assert.equal((await post(port, { headers, body: JSON.stringify(event, null, 2) })).status, 500);
        assert.match(messages.join(), /^the body of the request was parsed before, .*express\.raw/);
        await close();
      },
    );
  }
  const { default: fastify } = await import("fastify");
  const fastifyWith =
    (parse) =>
    ({ handle, read }) => {
      const app = fastify({ bodyLimit: 1024 * 1024 });
      app.removeAllContentTypeParsers();
      parse(app);
      app.route({ method: ["POST", "OPTIONS"], url: "/hooks", handler: toNodeHandler(handle, { onError }) });
      app.post("/read", (request, reply) => {
        reply.hijack();
        return read(request, reply.raw);
      });
      return listenFastify(app);
    };
  servers.fastify = fastifyWith((app) => app.addContentTypeParser("*", (request, payload, done) => done(null)));
  servers['fastify with parseAs: "buffer"'] = fastifyWith((app) =>
    app.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => done(null, body)),
  );
  await check("fastify with its own JSON parser: a binary event is taken", async () => {
    const app = fastify();
    app.post("/hooks", async (request) => (await fromIncoming(request)).data);
    const { port, close } = await listenFastify(app);
    assert.deepEqual(await (await post(port, toBinary(event))).json(), { n: 1 });
    await close();
  });
  // The pages of the documentation, as `tests/runtimes/servers.mjs` has written them to files.
  for (const name of ["express", "fastify"]) {
    await check(`the block ${name} of the documentation`, async () => {
      const { app } = await import(`./block-${name}.mjs`);
      const { port, close } = await (name === "express" ? listen(createServer(app)) : listenFastify(app));
      for (const message of [toBinary(event), toStructured(event)])
        assert.equal((await post(port, message)).status, 204);
      const ask = { method: "OPTIONS", headers: { "webhook-request-origin": "events.example.com" } };
      assert.equal((await post(port, ask)).headers.get("webhook-allowed-origin"), "events.example.com");
      await close();
    });
  }
}

/** What a body parser of a framework does in place of the adapter: it answers 413 and aborted uploads itself. */
const PARSER_DOES = /413|aborted|up to the limit|200 requests|malformed/;
await Promise.all(
  Object.entries(servers).map(async ([server, start]) => {
    for (const [name, run] of SERVER_CASES)
      if (!(/raw|buffer/.test(server) && PARSER_DOES.test(name))) await check(`${server}: ${name}`, () => run(start));
  }),
);
console.log(JSON.stringify({ checks, problems }));
process.exit();
