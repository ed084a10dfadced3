// Types of the clients of streams, from each entry point.
import assert from "node:assert/strict";
import { test } from "node:test";
import { problemsOf } from "./typescript.mjs";

const common = `
type Client = BAYEUX | SALESFORCE;
export async function use(client: Client, signal: AbortSignal): Promise<string | undefined> {
  await client.open({ signal });
  const subscription: Subscription = await client.subscribe("/a");
  await client.subscribe<{ n: number }>("/b", async (message) => void message.data.n.toFixed());
  const message: StreamMessage = await client.receive({ signal });
  const id: string | undefined = message.replayId;
  // @ts-expect-error data is unknown
  message.data.n;
  const event = message.toCloudEvent();
  for await (const { channel, dataText, createdDate } of client) console.log(channel, dataText, createdDate, event.id);
  client.addEventListener("notice", ({ detail }: StreamEvents["notice"]) => { const { kind, channel, error }: StreamNotice = detail; const known: StreamNoticeKind = kind; console.log(known === "possible_gap", channel, error?.code); });
  client.addEventListener("state", ({ detail: { state } }) => { const known: StreamState = state; console.log(known); });
  // @ts-expect-error there is no such kind
  client.addEventListener("notice", ({ detail }) => detail.kind === "gap");
  // @ts-expect-error there is no such detail
  client.addEventListener("error", ({ detail }) => detail.kind);
  const set: ReadonlySet<string> = client.subscriptions;
  await message.ack();
  await subscription.unsubscribe();
  await client.publish("/a", { n: 1 });
  console.log(set.size, client.pendingCount.toFixed(), client.hasPendingMessages, client.closed, client.state);
  await client.close();
  return id;
}
`;
const bayeux = (entry) => `
import { BayeuxClient, type BayeuxExtension, type BayeuxOptions, type StreamEvents, type StreamMessage, type StreamNotice, type StreamNoticeKind, type StreamState, type Subscription } from "${entry}";
const extension: BayeuxExtension = { outgoing: (message) => (message.channel === "/x" ? null : message), incoming() {} };
const options: BayeuxOptions = { transports: ["long-polling"], extensions: [extension], auth: async ({ renew }) => ({ authorization: String(renew) }), ack: false, webSocket: (url) => new WebSocket(url) };
export const client = new BayeuxClient("https://example.com", options);
// @ts-expect-error there is no such transport
new BayeuxClient("https://example.com", { transports: ["smoke"] });
${common.replace("BAYEUX | SALESFORCE", "BayeuxClient")}`;
const salesforce = (entry) => `
import {
  SalesforceClient, SalesforceStreamingClient, clientCredentialsAuth, jwtBearerAuth, memoryStore, passwordAuth, refreshTokenAuth, replayStore, sessionAuth,
  type ReplayMarker, type ReplayStorage, type SalesforceAuth, type SalesforceOptions, type StreamEvents, type StreamMessage, type StreamNotice, type StreamNoticeKind, type StreamState, type Subscription,
} from "${entry}";
const login = { consumerKey: "k", consumerSecret: "s", username: "u", password: "p" };
const auths: SalesforceAuth[] = [
  passwordAuth({ ...login, securityToken: "t", sandbox: true }), refreshTokenAuth({ consumerKey: "k", refreshToken: "r", onRefreshToken: (token) => token.trim() }),
  clientCredentialsAuth({ consumerKey: "k", consumerSecret: "s", loginUrl: "https://a" }), jwtBearerAuth({ consumerKey: "k", username: "u", privateKey: "pem" }),
  sessionAuth({ accessToken: "t", instanceUrl: new URL("https://a") }),
];
const own: ReplayStorage = { get: async () => ({ replayId: "1" }), set: async () => undefined, policy: "manual", initial: "all" };
const markers = new Map<string, ReplayMarker>();
const all: SalesforceOptions["replay"][] = ["new", "all", 7, "7", own, markers, replayStore(memoryStore(), { policy: "next" })];
export const clients = auths.flatMap((auth) => all.map((replay) => new SalesforceClient(auth, { ...(replay !== undefined && { replay }), replayFallback: "all", apiVersion: "60.0" })));
export const short = new SalesforceStreamingClient({ ...login, loginUrl: "https://a", maxPending: 5, connectionTimeoutMs: Infinity });
// @ts-expect-error options are no SalesforceAuth
new SalesforceClient(login);
${common.replace("BAYEUX | SALESFORCE", "SalesforceClient")}`;

test("each entry point exports the types of its clients of streams, and programs compile with them", () => {
  assert.deepEqual(
    problemsOf([
      bayeux("eventferry"),
      bayeux("eventferry/bayeux"),
      salesforce("eventferry"),
      salesforce("eventferry/salesforce"),
    ]),
    [],
  );
});
