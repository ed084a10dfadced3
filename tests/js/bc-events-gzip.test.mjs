// BriteEvents with compressed bodies. In real time, because gzip runs in the thread pool, for which a virtual clock does not
// wait.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clientTo, server } from "./bc-events-fixtures.mjs";

const publish = (session, from, to) =>
  Array.from({ length: to - from }, (_, index) => session.createdMyEntity({ n: from + index }));

test("bodies can be compressed", async () => {
  const { fetch } = server(201);
  const received = [];
  const client = clientTo(
    {
      fetch: async (...args) => {
        const request = new Request(...args);
        const stream =
          request.headers.get("content-encoding") === "gzip"
            ? request.body.pipeThrough(new DecompressionStream("gzip"))
            : request.body;
        received.push([
          new URL(request.url).pathname,
          request.headers.get("content-encoding"),
          JSON.parse(await new Response(stream).text()),
        ]);
        return fetch(new Request(request.url, { method: "POST", body: "{}" }));
      },
    },
    { outbox: { gzip: true } },
  );
  const session = client.userSession("USER_ID", "JOB_ID");
  session.createdMyEntity({ n: 0, text: "x".repeat(4000) });
  await session.flush({ until: "delivered" });
  publish(session, 1, 101);
  await session.flush({ until: "delivered" });
  assert.deepEqual(
    received.map(([path, encoding, body]) => [path, encoding, Array.isArray(body) ? body.length : body.data.n]),
    [
      ["/v1/events", "gzip", 0],
      ["/v1/events/bulk/", "gzip", 100],
    ],
  );
  await client.close();
});
