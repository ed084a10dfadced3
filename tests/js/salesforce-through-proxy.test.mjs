// The client, through the proxy, against the emulator: the proxy or the client recovers from faults of Salesforce.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SalesforceClient, passwordAuth, salesforceProxy, sessionAuth } from "eventferry/salesforce";
import { createEmulator, isFerryError } from "eventferry/testing";
import { realTime, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const EDGE = "https://edge.example.com/sf";
const PAGE = "https://app.example.com";
const CHANNEL = "/event/A__e";
/** Options of a client in a page: the browser adds the origin to every request. */
const inPage = (proxy) => ({
  replay: "all",
  fetch(url, init) {
    const request = new Request(url, init);
    request.headers.set("origin", PAGE);
    return proxy(request);
  },
});
const numberOf = ({ data }) => data.payload.N__c;
const untilHeld = (salesforce) => salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));

function setup(options) {
  const emulator = createEmulator();
  const proxy = salesforceProxy({
    instanceUrl: "https://acme.my.salesforce.com",
    allowedOrigins: [PAGE],
    // A login signs its response with the crypto of the platform, which takes real time.
    fetch: (url, init) => (url.includes("oauth2") ? realTime(emulator.fetch(url, init)) : emulator.fetch(url, init)),
    ...options(emulator),
  });
  return { emulator, proxy, salesforce: emulator.salesforce };
}

/** Injects one fault after the other, and checks that the event after it arrives. */
async function receiveAfterFaults(client, salesforce, faults) {
  await client.open();
  await client.subscribe(CHANNEL);
  for (const [at, injectFault] of faults.entries()) {
    await untilHeld(salesforce);
    injectFault();
    salesforce.publish(CHANNEL, { N__c: at });
    assert.equal(numberOf(await client.receive()), at);
  }
}

describe("a client behind the proxy", () => {
  test("receives every event while the proxy renews its own token", async () => {
    let token;
    const renewals = [];
    const { emulator, proxy, salesforce } = setup(({ salesforce }) => ({
      allowedChannels: ["/event/*"],
      authorize: () => true,
      accessToken: (_, renew) => {
        renewals.push(renew);
        if (token === undefined || renew) token = salesforce.issueToken();
        return token;
      },
    }));
    const client = new SalesforceClient(sessionAuth({ accessToken: "none", instanceUrl: EDGE }), inPage(proxy));
    await receiveAfterFaults(client, salesforce, [
      () => undefined,
      () => salesforce.revokeTokens(),
      () => salesforce.expireSessions(),
      () => salesforce.loseAnswers(),
      () => salesforce.restart(),
    ]);
    assert.equal(renewals.filter((renew) => renew).length, 1);
    assert.ok(salesforce.requests.every(({ headers }) => headers.authorization.startsWith("Bearer 00D")));
    await assert.rejects(
      client.subscribe("/topic/T"),
      (error) => isFerryError(error, "ERR_REJECTED") && /403::Restricted channel/.test(error.message),
    );
    await client.close();
    await emulator.close();
  });

  test("receives every event while it renews its login", async () => {
    const { emulator, proxy, salesforce } = setup(() => ({ consumerSecret: "of-the-proxy" }));
    const client = new SalesforceClient(
      passwordAuth({ consumerKey: "key", consumerSecret: "none", username: "u", password: "p", loginUrl: EDGE }),
      inPage(proxy),
    );
    await receiveAfterFaults(client, salesforce, [
      () => undefined,
      () => salesforce.revokeTokens(),
      () => salesforce.expireSessions(),
    ]);
    assert.equal(salesforce.logins.length, 2);
    await client.close();
    await emulator.close();
  });
});
