// Streams in a browser, where only the platform handles cookies. A separate file, because the client checks the
// platform only once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

// In pages, the Fetch standard drops a cookie that a script sets.
globalThis.Request = class extends Request {
  constructor(...args) {
    super(...args);
    this.headers.delete("cookie");
  }
};
const { BayeuxClient } = await import("eventferry/bayeux");

test("in a browser the platform sends cookies, and the client sets none", async () => {
  const requests = [];
  globalThis.fetch = async (...args) => {
    const request = new Request(...args);
    const messages = JSON.parse(await request.clone().text());
    requests.push({
      credentials: request.credentials,
      cookie: request.headers.get("cookie"),
      channels: messages.map(({ channel }) => channel),
    });
    const replies = messages.map(({ id, channel }) => ({
      id,
      channel,
      successful: true,
      clientId: "c1",
      version: "1.0",
      supportedConnectionTypes: ["long-polling"],
      advice: { reconnect: "retry", interval: 60_000, timeout: 30_000 },
    }));
    return Response.json(replies, { headers: { "set-cookie": "BAYEUX_BROWSER=b1" } });
  };
  for (const [options, credentials] of [
    [{}, "include"],
    [{ credentials: "omit" }, "omit"],
  ]) {
    requests.length = 0;
    const client = new BayeuxClient("https://example.com/cometd", { transports: ["long-polling"], ...options });
    await client.open();
    await client.close();
    assert.deepEqual(requests.map(({ channels }) => channels[0]).slice(0, 2), ["/meta/handshake", "/meta/connect"]);
    for (const request of requests) assert.deepEqual([request.credentials, request.cookie], [credentials, null]);
  }
});
