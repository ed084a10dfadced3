// The client of the events protocol over real sockets, in real time: a virtual clock does not wait for the network.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { EventClient, FailedDependencyException, isFerryError } from "eventferry/events-protocol";

const RESPONSE = {
  name: "get:it:response",
  version: 1,
  id: "i",
  flowId: "f",
  payload: {},
  identity: {},
  auth: {},
  metadata: {},
};
const hasCode = (code) => (error) => isFerryError(error, code);

test("a response, a dropped connection, half a response, and a server that is not running", async () => {
  const responders = [
    (response) => response.end(JSON.stringify(RESPONSE)),
    (response) => response.destroy(),
    (response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{");
      setImmediate(() => response.destroy());
    },
  ];
  const server = createServer((request, response) => request.resume().on("end", () => responders.shift()(response)));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = new EventClient({ url: `http://127.0.0.1:${server.address().port}/events` });
  try {
    assert.ok((await client.sendEvent({ name: "get:it" })).isSuccess);
    for (let count = 0; count < 2; count++)
      await assert.rejects(client.sendEvent({ name: "get:it" }), hasCode("ERR_NETWORK"));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  await assert.rejects(
    client.sendEvent({ name: "get:it" }),
    (error) =>
      isFerryError(error, "ERR_NETWORK") && error instanceof FailedDependencyException && error.cause !== undefined,
  );
});
