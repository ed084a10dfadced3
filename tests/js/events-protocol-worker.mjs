// A Worker with a server of the events protocol. It runs the cases, and answers events over HTTP.
import * as api from "../../dist/entries/workerd/events-protocol.js";
import { registryOf, runCases } from "./events-protocol-cases.mjs";
import { floodProcessor } from "./events-protocol-flood.mjs";

// At module scope, where Workers allow no I/O, timers or randomness.
const registry = registryOf(api);
const processor = new api.EventProcessor(registry);
const flood = floodProcessor(api);
const slowEvents = new api.EventRegistry();
const shortTimeout = new api.EventProcessor(slowEvents, { handlerTimeoutMs: 30 });
slowEvents.register({
  name: "never:ends",
  handle: (_event, _payload, { signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
});
slowEvents.register({
  name: "get:context",
  handle: (_event, _payload, { env, ctx, request }) => ({
    env: typeof env,
    waitUntil: typeof ctx.waitUntil,
    path: new URL(request.url).pathname,
  }),
});

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname === "/cases") {
      const overFetch = Object.fromEntries(
        ["usual", "strict", "lenient"].map((envelope) => [
          envelope,
          new api.EventProcessor(registryOf(api), { envelope }),
        ]),
      );
      const send = async (raw, envelope) =>
        (
          await overFetch[envelope].fetch(new Request("https://example.com/events", { method: "POST", body: raw }))
        ).text();
      return Response.json(await runCases(api, await request.json(), send));
    }
    if (pathname === "/flood") return flood.fetch(request, env, ctx);
    if (pathname === "/short-timeout") return shortTimeout.fetch(request, env, ctx);
    return processor.fetch(request, env, ctx);
  },
};
