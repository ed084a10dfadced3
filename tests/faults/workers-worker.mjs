// A Worker with one outbox for all requests, and one for each Durable Object.
import { CloudEvent, durableObjectStore, memoryStore, Publisher } from "../../dist/entries/workerd/index.js";

const url = `${COLLECTOR}collect`;
// Created at module scope, where Workers allow no I/O.
const retry = { baseMs: 20, maxMs: 200 };
const shared = new Publisher({ url, outbox: { store: memoryStore(), retry } });
const other = new Publisher({ url });

function publish(session, name, count) {
  return Array.from(
    { length: count },
    (_, at) =>
      session.publish(
        new CloudEvent({ id: `${name}.${at}`, type: "t", source: "/worker", data: { padding: "x".repeat(100) } }),
      ).id,
  );
}

/** Publishes as many events as the URL says. Responds with their ids once they are stored. */
async function publishFrom(publisher, request) {
  const { pathname } = new URL(request.url);
  const [, , name, count] = pathname.split("/");
  const session = publisher.session();
  const ids = publish(session, name, Number(count));
  await session.flush();
  return Response.json(ids);
}

class OutboxObject {
  constructor(ctx) {
    this.publisher = new Publisher({ url, timeoutMs: 2000, outbox: { store: durableObjectStore(ctx.storage), retry } });
  }

  fetch(request) {
    return publishFrom(this.publisher, request);
  }

  async alarm() {
    await this.publisher.outbox.drain({ deadlineMs: 1000 });
  }
}
export class KeyValue extends OutboxObject {}
export class Sqlite extends OutboxObject {}

export default {
  async fetch(request, env, ctx) {
    const [, target] = new URL(request.url).pathname.split("/");
    try {
      if (target === "shared") {
        shared.outbox.keepAlive((promise) => ctx.waitUntil(promise));
        return await publishFrom(shared, request);
      }
      if (target === "uncovered") return await publishFrom(other, request);
      const namespace = env[target];
      return await namespace.get(namespace.idFromName("one")).fetch(request);
    } catch (error) {
      return new Response(error.stack, { status: 500 });
    }
  },
};
