// A store with leases that several Node processes reach over HTTP, as they would a database.
import { createServer } from "node:http";
import { deserialize, serialize } from "node:v8";
import { memoryStore } from "../../dist/entries/index.js";
import { isLeaseFree } from "../../dist/stores/lease.js";

/** Serves the store. `leases` are the owners with the times at which they got the lease, in order. */
export async function serveStore() {
  const { write, peek, dead, count } = memoryStore();
  const leases = [];
  const held = new Map();
  const acquire = async (owner, durationMs, scope) => {
    const now = Date.now();
    if (!isLeaseFree(held.get(scope), owner, now)) return false;
    if (leases.at(-1)?.owner !== owner) leases.push({ owner, at: now });
    if (durationMs > 0) held.set(scope, { owner, until: now + durationMs, durationMs });
    else held.delete(scope);
    return true;
  };
  const methods = { write, peek, dead, count, acquire };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    response.end(serialize(await methods[request.url.slice(1)](...deserialize(Buffer.concat(chunks)))));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    leases,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The store as one process sees it. */
export function remoteStore(url) {
  const call = async (method, ...args) => {
    const response = await fetch(url + method, { method: "POST", body: serialize(args) });
    if (!response.ok) throw new Error(`the store answered with ${response.status}`);
    return deserialize(Buffer.from(await response.arrayBuffer()));
  };
  const methods = ["write", "peek", "dead", "count", "acquire"];
  return {
    kind: "remote",
    open: async () => ({ durability: "process", isShared: true, supportsPrefix: true }),
    ...Object.fromEntries(methods.map((method) => [method, (...args) => call(method, ...args)])),
    close: async () => undefined,
  };
}
