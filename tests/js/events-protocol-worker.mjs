// A Worker with a server of the events protocol: runs the cases in it, and answers events from outside.
import * as api from "../../dist/entries/events-protocol.js";
import { registryOf, runCases } from "./events-protocol-cases.mjs";
import { floodProcessor } from "./events-protocol-flood.mjs";

// At module scope, where nothing may happen.
const registry = registryOf(api);
const processor = new api.EventProcessor(registry);
const flood = floodProcessor(api);
const patient = new api.EventRegistry();
const impatient = new api.EventProcessor(patient, { handlerTimeoutMs: 30 });
patient.register({
  name: "never:ends",
  handle: (event, payload, { signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
});
patient.register({
  name: "get:context",
  handle: (event, payload, { env, ctx, request }) => ({
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
      const ask = async (raw, envelope) =>
        (
          await overFetch[envelope].fetch(new Request("https://example.com/events", { method: "POST", body: raw }))
        ).text();
      return Response.json(await runCases(api, await request.json(), ask));
    }
    if (pathname === "/flood") return flood.fetch(request, env, ctx);
    if (pathname === "/impatient") return impatient.fetch(request, env, ctx);
    return processor.fetch(request, env, ctx);
  },
};
