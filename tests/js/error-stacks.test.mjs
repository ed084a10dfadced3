// An error that is made when a response arrives has the functions in its stack that wait for the call.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BayeuxClient, CloudEvent, Publisher } from "eventferry";
import { BayeuxServer, url } from "./bayeux-server.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const refusing = async () => new Response(null, { status: 400 });

async function opened() {
  const server = new BayeuxServer();
  const client = new BayeuxClient(url, { fetch: (...args) => server.fetch(...args), transports: ["long-polling"] });
  await client.open();
  return { server, client };
}

/** Closes the client during a call, from elsewhere: no function of the caller is on the stack. */
async function closedDuring(call, prepare = () => undefined) {
  const { client, server } = await opened();
  await prepare(client);
  server.fetch = () => new Promise(() => undefined);
  setImmediate(() => client.close());
  await call(client);
}

function published() {
  const session = new Publisher({ url, outbox: { store: "memory" }, fetch: refusing }).session();
  const receipt = session.publish(new CloudEvent({ type: "t", source: "/s" }));
  return { session, receipt };
}

const WAITS = {
  "client.probe": () => closedDuring((client) => client.probe()),
  "client.subscribe": () => closedDuring((client) => client.subscribe("/orders")),
  "client.subscribe with several channels": () => closedDuring((client) => client.subscribe(["/a", "/b"])),
  "client.unsubscribe": () =>
    closedDuring(
      (client) => client.unsubscribe("/orders"),
      (client) => client.subscribe("/orders"),
    ),
  "client.receive": () => closedDuring((client) => client.receive()),
  "receipt.delivered": async () => {
    const { session, receipt } = published();
    await Promise.all([session.flush(), receipt.delivered]);
  },
  "receipt.accepted": async () => {
    const { session, receipt } = published();
    const { accepted } = receipt;
    setImmediate(() => session.rollback());
    await accepted;
  },
};

for (const [what, wait] of Object.entries(WAITS)) {
  test(`an error of ${what} names the functions that wait for it`, async () => {
    const error = await waitingCaller(wait);
    assert.equal(error.name, "FerryError");
    assert.match(error.stack, /waitingCaller/);
  });
}

async function waitingCaller(wait) {
  try {
    await wait();
  } catch (error) {
    return error;
  }
  throw new Error("the call has not failed");
}
