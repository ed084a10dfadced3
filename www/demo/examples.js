// The programs of the demo: one for each system, and a signed web hook. They run as they are shown, in the page and in Node.
// The server of each is the emulator of `eventferry/testing`.

export const EXAMPLES = [
  {
    id: "cloudevents",
    title: "CloudEvents",
    text: "An event as an HTTP request in three forms, and back without losing a digit.",
    guide: "content-modes",
    code: `import { CloudEvent, fromHttp, toBinary, toStructured } from "eventferry/cloudevents";

const event = CloudEvent.fromJSON(\`{
  "specversion": "1.0", "id": "7", "type": "com.example.order.created",
  "source": "/shops/7", "subject": "Åre", "data": { "orderId": 12345678901234567890 }
}\`);
const { headers, body } = toBinary(event);
console.log(headers["ce-subject"], body);
console.log(toStructured(event).headers["content-type"]);
console.log(fromHttp(headers, body).dataText);
try {
  event.with({ source: "not a URI reference %" });
} catch (error) {
  console.log(error.code, error.attribute);
}
`,
  },
  {
    id: "glassflow",
    title: "GlassFlow",
    text: "A pipeline transforms events. Those it cannot transform are in its failed queue.",
    guide: "glassflow",
    code: `import { PipelineDataSink, PipelineDataSource } from "eventferry/glassflow";
import { createEmulator } from "eventferry/testing";

const emulator = createEmulator();
emulator.glassflow.createPipeline({
  id: "orders",
  accessTokens: ["t0ken"],
  transform: ({ orderId, total }) => {
    if (typeof total !== "number") throw new TypeError("a total is a number");
    return { orderId, withTax: total * 1.2 };
  },
});
const pipeline = {
  pipelineId: "orders",
  pipelineAccessToken: "t0ken",
  baseUrl: "https://emulator.example/glassflow/v1",
  fetch: emulator.fetch,
};
const source = new PipelineDataSource(pipeline);
await source.publish({ orderId: 7, total: 12.5 });
await source.publish({ orderId: 8, total: "free" });

const sink = new PipelineDataSink(pipeline);
const { event } = await sink.consume();
console.log("transformed:", event.response);
const failed = await sink.consumeFailed();
console.log("failed:", failed.event.payload, failed.event.errorDetails);
await emulator.close();
`,
  },
  {
    id: "brite-events",
    title: "BriteEvents",
    text: "Methods come from the topics. Events are flushed together or rolled back; a schema refuses wrong data at the call.",
    guide: "brite-events",
    code: `import { EventClient } from "eventferry/bc-events";
import { createEmulator } from "eventferry/testing";

const emulator = createEmulator();
const Schema = { type: "object", required: ["id"], properties: { id: { type: "string" } } };
const client = new EventClient({
  apiUrl: "https://emulator.example/brite-events",
  serviceName: "order-service",
  topics: { DefaultCategory: "shop", Topics: [{ Action: "Created", Entity: "Order", Schema }] },
  outbox: { store: "memory" },
  fetch: emulator.fetch,
});
const session = client.userSession("user-4711", "job-1");
session.createdOrder({ id: "1" });
session.createdOrder({ id: "2" });
console.log("staged:", session.staged);
await session.flush({ until: "delivered" });
console.log("delivered:", emulator.briteEvents.received.length);

session.createdOrder({ id: "3" });
console.log("rolled back:", session.rollback().length);
try {
  session.createdOrder({ id: 4 });
} catch (error) {
  console.log("refused:", error.message);
}
console.log("delivered in all:", emulator.briteEvents.received.length);
await client.close();
await emulator.close();
`,
  },
  {
    id: "salesforce",
    title: "Salesforce",
    text: "A stream that is replayed from a position of your choice, and goes on when the server restarts.",
    guide: "streams",
    code: `import { SalesforceClient, clientCredentialsAuth } from "eventferry/salesforce";
import { createEmulator } from "eventferry/testing";

const emulator = createEmulator();
const { salesforce } = emulator;
for (const total of [1, 2, 3]) salesforce.publish("/event/Order__e", { Total__c: total });

const auth = clientCredentialsAuth({
  consumerKey: "key",
  consumerSecret: "secret",
  loginUrl: "https://emulator.example/salesforce",
});
const client = new SalesforceClient(auth, { replay: "all", fetch: emulator.fetch }); // or "new", or a replay id
await client.open();
await client.subscribe("/event/Order__e");
for (let count = 0; count < 3; count++) {
  const { replayId, data } = await client.receive();
  console.log("replayed:", replayId, data.payload.Total__c);
}
salesforce.restart();
salesforce.publish("/event/Order__e", { Total__c: 4 });
const { replayId, data } = await client.receive();
console.log("after the restart:", replayId, data.payload.Total__c);
await client.close();
await emulator.close();
`,
  },
  {
    id: "events-protocol",
    title: "events-protocol",
    text: "A request has an answer: a success, or an error with a type and a code.",
    guide: "events-protocol",
    code: `import { EventClient, EventException, EventProcessor, EventRegistry } from "eventferry/events-protocol";

const events = new EventRegistry();
events.register({
  name: "get:user:name",
  version: 1,
  schema: (payload) => typeof payload?.userId === "number",
  handle: async (event, { userId }) => {
    if (userId !== 7) throw new EventException({ userId }, { code: "NO_SUCH_USER", type: "notFound" });
    return { name: "Åsa" };
  },
});
const server = new EventProcessor(events);

const client = new EventClient({
  url: "https://server.example/events",
  fetch: (url, init) => server.fetch(new Request(url, init)),
});
const answer = await client.sendEvent({ name: "get:user:name", version: 1, payload: { userId: 7 } });
console.log(answer.isSuccess, answer.payload.name);
const other = await client.sendEvent({ name: "get:user:name", version: 1, payload: { userId: 8 } });
console.log(other.errorType, other.errorCode, other.errorParameters);
`,
  },
];

export const SIGNED_HOOK = `import { CloudEvent, standardWebhooks, toStructured, webhook } from "eventferry/cloudevents";

const signature = standardWebhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLwSw1234");
const receive = webhook({
  verify: signature,
  onEvent: (event) => console.log("received:", event.data.total),
  onRejected: (error) => console.log("refused:", error.message),
});
const event = new CloudEvent({ type: "com.example.order.paid", source: "/shop", data: { total: 18 } });
const { headers, body } = toStructured(event);
const signed = { ...headers, ...(await signature.sign({ id: event.id, body: new TextEncoder().encode(body) })) };
const deliver = async (body) =>
  (await receive(new Request("https://hook.example/", { method: "POST", headers: signed, body }))).status;

console.log(await deliver(body));
console.log(await deliver(body.replace("18", "81"))); // one byte changed, and it is refused
`;
