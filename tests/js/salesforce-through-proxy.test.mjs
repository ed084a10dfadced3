// Our client behind our proxy before the emulator: what goes wrong at Salesforce is mended on the way or by the client.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SalesforceClient, passwordAuth, salesforceProxy, sessionAuth } from "../../dist/entries/salesforce.js";
import { createEmulator, isFerryError } from "../../dist/entries/testing.js";

const EDGE = "https://edge.example.com/sf";
const PAGE = "https://app.example.com";
const CHANNEL = "/event/A__e";
/** Options of a client in a page: the browser adds the origin to all that it sends. */
const inPage = (proxy) => ({
  replay: "all",
  fetch(request) {
    request.headers.set("origin", PAGE);
    return proxy(request);
  },
});
const numberOf = ({ data }) => data.payload.N__c;
const held = (salesforce) => salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));

function arrange(options) {
  const emulator = createEmulator();
  const proxy = salesforceProxy({
    instanceUrl: "https://acme.my.salesforce.com",
    allowedOrigins: [PAGE],
    fetch: emulator.fetch,
    ...options(emulator),
  });
  return { emulator, proxy, salesforce: emulator.salesforce };
}

/** Each event comes, whatever has happened before it. */
async function survives(client, salesforce, troubles) {
  await client.open();
  await client.subscribe(CHANNEL);
  for (const [at, trouble] of troubles.entries()) {
    await held(salesforce);
    trouble();
    salesforce.publish(CHANNEL, { N__c: at });
    assert.equal(numberOf(await client.receive()), at);
  }
}

describe("through the proxy", () => {
  test("with a token that it lends: one that is revoked costs the page nothing", async () => {
    let token;
    const asked = [];
    const { emulator, proxy, salesforce } = arrange(({ salesforce }) => ({
      allowedChannels: ["/event/*"],
      authorize: () => true,
      accessToken: (_, renew) => {
        asked.push(renew);
        return token === undefined || renew ? (token = salesforce.issueToken()) : token;
      },
    }));
    const client = new SalesforceClient(sessionAuth({ accessToken: "none", instanceUrl: EDGE }), inPage(proxy));
    await survives(client, salesforce, [
      () => undefined,
      () => salesforce.revokeTokens(),
      () => salesforce.expireSessions(),
      () => salesforce.loseAnswers(),
      () => salesforce.restart(),
    ]);
    assert.equal(asked.filter((renew) => renew).length, 1);
    assert.ok(salesforce.requests.every(({ headers }) => headers.authorization.startsWith("Bearer 00D")));
    await assert.rejects(
      client.subscribe("/topic/T"),
      (error) => isFerryError(error, "ERR_REJECTED") && /403::Restricted channel/.test(error.message),
    );
    await client.close();
    await emulator.close();
  });

  test("with a login of its own", async () => {
    const { emulator, proxy, salesforce } = arrange(() => ({ consumerSecret: "of-the-proxy" }));
    const client = new SalesforceClient(
      passwordAuth({ consumerKey: "key", consumerSecret: "none", username: "u", password: "p", loginUrl: EDGE }),
      inPage(proxy),
    );
    await survives(client, salesforce, [
      () => undefined,
      () => salesforce.revokeTokens(),
      () => salesforce.expireSessions(),
    ]);
    assert.equal(salesforce.logins.length, 2);
    await client.close();
    await emulator.close();
  });
});
