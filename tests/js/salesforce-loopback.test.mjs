// The client of Salesforce over real sockets, on the clock of the platform. All other tests of it replace `fetch`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SalesforceStreamingClient } from "eventferry";
import { createEmulator } from "eventferry/testing";

test("logs in, subscribes and receives over loopback", async (t) => {
  const emulator = createEmulator();
  t.after(() => emulator.close());
  const { url } = await emulator.listen();
  const client = new SalesforceStreamingClient({
    consumerKey: "key",
    consumerSecret: "secret",
    username: "u@example.com",
    password: "pw",
    loginUrl: new URL("salesforce", url).href,
    retry: { baseMs: 1, maxMs: 10 },
  });
  t.after(() => client.close());
  await client.open();
  await client.subscribe("/event/A__e");
  for (const N of [1, 2]) {
    await emulator.salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
    const { replayId } = emulator.salesforce.publish("/event/A__e", { N });
    const message = await client.receive();
    assert.deepEqual([message.replayId, message.data.payload.N], [String(replayId), N]);
  }
  await client.close();
  assert.deepEqual(emulator.salesforce.sessions, []);
});
