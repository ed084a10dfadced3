// A Worker with an outbox for all requests, and one for each Durable Object.
import { CloudEvent, Publisher, durableObjectStore, memoryStore } from "../../dist/entries/index.js";

const url = `${COLLECTOR}collect`;
// At module scope, where nothing may happen.
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

/** Answers with the ids when they are stored. */
async function take(publisher, request) {
  const { pathname } = new URL(request.url);
  const [, , name, count] = pathname.split("/");
  const session = publisher.session();
  const ids = publish(session, name, Number(count));
  await session.flush();
  return Response.json(ids);
}

class Box {
  constructor(ctx) {
    this.publisher = new Publisher({ url, timeoutMs: 2000, outbox: { store: durableObjectStore(ctx.storage), retry } });
  }

  fetch(request) {
    return take(this.publisher, request);
  }

  async alarm() {
    await this.publisher.outbox.drain({ deadlineMs: 1000 });
  }
}
export class KeyValue extends Box {}
export class Sqlite extends Box {}

export default {
  async fetch(request, env, ctx) {
    const [, what] = new URL(request.url).pathname.split("/");
    try {
      if (what === "shared") {
        shared.outbox.keepAlive((promise) => ctx.waitUntil(promise));
        return await take(shared, request);
      }
      if (what === "uncovered") return await take(other, request);
      const space = env[what];
      return await space.get(space.idFromName("one")).fetch(request);
    } catch (error) {
      return new Response(error.stack, { status: 500 });
    }
  },
};
