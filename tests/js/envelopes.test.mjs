// The envelopes of Azure Event Grid and Google Pub/Sub: the events that they become, and the way back.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  batchFromHttp,
  batchFromRequest,
  CloudEvent,
  fromHttp,
  fromRequest,
  toEventGrid,
  toPubSubPush,
  webhook,
} from "eventferry/cloudevents";

const TOPIC = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a";
const grid = (changes = {}) => ({
  id: "831e1650",
  topic: TOPIC,
  subject: "/blobServices/default/containers/c/blobs/f.txt",
  eventType: "Microsoft.Storage.BlobCreated",
  eventTime: "2026-06-26T18:41:00.9584103Z",
  data: { api: "PutBlockList", contentLength: 524288 },
  dataVersion: "2",
  metadataVersion: "1",
  ...changes,
});
const SUBSCRIPTION = "projects/p/subscriptions/s";
const push = (message = {}, more = {}) => ({
  message: {
    data: "SGVsbG8=",
    attributes: { kind: "greeting" },
    messageId: "2070443601311540",
    message_id: "2070443601311540",
    publishTime: "2026-02-26T19:13:55.749Z",
    publish_time: "2026-02-26T19:13:55.749Z",
    ...message,
  },
  subscription: SUBSCRIPTION,
  ...more,
});
const attributesOf = ({ id, source, type, time, subject, datacontenttype, extensions, data }) => ({
  ...{ id, source, type, time, subject, datacontenttype, ...extensions, data },
});
const base64 = (text) => Buffer.from(text).toString("base64");
const published = {
  source: `//pubsub.googleapis.com/${SUBSCRIPTION}`,
  type: "google.cloud.pubsub.topic.v1.messagePublished",
};

/** [name, from, envelope, the event, whether the envelope can be written again from it] */
const CASES = [
  [
    "an event of Event Grid",
    "event-grid",
    [grid()],
    {
      ...{ id: "831e1650", source: TOPIC, type: "Microsoft.Storage.BlobCreated", time: "2026-06-26T18:41:00.9584103Z" },
      subject: "/blobServices/default/containers/c/blobs/f.txt",
      dataversion: "2",
      data: { api: "PutBlockList", contentLength: 524288 },
    },
    true,
  ],
  [
    "an event of Event Grid with as little as the schema allows",
    "event-grid",
    [grid({ subject: "", data: null, dataVersion: "" })],
    { id: "831e1650", source: TOPIC, type: "Microsoft.Storage.BlobCreated", time: grid().eventTime, data: null },
    true,
  ],
  [
    "a message of Pub/Sub",
    "pubsub-push",
    push({ orderingKey: "k1" }),
    {
      ...{ id: "2070443601311540", ...published, time: "2026-02-26T19:13:55.749Z" },
      ...{ datacontenttype: "application/json", partitionkey: "k1", data: push({ orderingKey: "k1" }) },
    },
    true,
  ],
  [
    "a message of Pub/Sub without data, time and ordering key",
    "pubsub-push",
    { message: { messageId: "7", attributes: { a: "b" }, orderingKey: "" }, subscription: SUBSCRIPTION },
    {
      ...{ id: "7", ...published, datacontenttype: "application/json" },
      data: { message: { messageId: "7", attributes: { a: "b" }, orderingKey: "" }, subscription: SUBSCRIPTION },
    },
    true,
  ],
  [
    "a CloudEvent in the attributes of a message of Pub/Sub",
    "pubsub-push",
    {
      message: {
        data: base64('{"n":1}'),
        attributes: {
          ...{
            "ce-specversion": "1.0",
            "ce-id": "e1",
            "ce-source": "/s",
            "ce-type": "t",
            "ce-time": "2026-01-01T00:00:00Z",
          },
          ...{ "ce-subject": "50 %20 Å", "ce-tenant": "north", "content-type": "application/json" },
        },
        ...{ messageId: "e1", publishTime: "2026-01-01T00:00:00Z" },
      },
      subscription: SUBSCRIPTION,
    },
    {
      ...{ id: "e1", source: "/s", type: "t", time: "2026-01-01T00:00:00Z", subject: "50 %20 Å" },
      ...{ datacontenttype: "application/json", tenant: "north", data: { n: 1 } },
    },
    true,
  ],
  [
    "a CloudEvent in the attributes, with bytes and the media type among them",
    "pubsub-push",
    push({
      data: "AP8=",
      attributes: {
        "ce-specversion": "1.0",
        "ce-id": "e1",
        "ce-source": "/s",
        "ce-type": "t",
        "ce-datacontenttype": "image/png",
      },
    }),
    { id: "e1", source: "/s", type: "t", datacontenttype: "image/png", data: Uint8Array.of(0, 255) },
    false,
  ],
  [
    "a CloudEvent in structured mode in the data of a message of Pub/Sub",
    "pubsub-push",
    push({
      data: base64('{"specversion":"1.0","id":"e1","source":"/s","type":"t","data":12345678901234567000}'),
      attributes: { "Content-Type": "application/cloudevents+json; charset=utf-8", other: "x" },
    }),
    { id: "e1", source: "/s", type: "t", data: 12345678901234567000 },
    false,
  ],
];

for (const [name, from, envelope, expected, isWritten] of CASES) {
  test(`${name} becomes this event${isWritten ? ", and the event this envelope" : ""}`, async () => {
    const text = JSON.stringify(envelope);
    const headers = { "content-type": "application/json" };
    const events = [
      fromHttp(headers, text, { from }),
      fromHttp({}, Buffer.from(text), { from }),
      batchFromHttp(headers, text, { from }).at(0),
      await fromRequest(new Request("http://x/", { method: "POST", headers, body: text }), { from }),
      (await batchFromRequest(new Request("http://x/", { method: "POST", headers, body: text }), { from })).at(0),
    ];
    const none = { time: undefined, subject: undefined, datacontenttype: undefined };
    for (const event of events) assert.deepEqual(attributesOf(event), { ...none, ...expected });
    const [event] = events;
    const write = () => (from === "event-grid" ? toEventGrid(event) : toPubSubPush(event, SUBSCRIPTION));
    const written = write();
    if (isWritten) assert.deepEqual(JSON.parse(written.body), envelope);
    assert.equal(written.headers["content-type"], "application/json; charset=utf-8");
    assert.ok(fromHttp(written.headers, written.body, { from }).equals(event));
  });
}

test("data keep every digit and character in both directions", () => {
  const data = '{"id":12345678901234567890,"price":1.10,"text":"\\u00e5"}';
  const text = JSON.stringify([grid({ data: "?" })]).replace('"?"', data);
  const event = fromHttp({}, text, { from: "event-grid" });
  assert.equal(event.dataText, data);
  assert.equal(toEventGrid(event).body, text);
  const pushed = JSON.stringify(push(), null, 2);
  assert.equal(toPubSubPush(fromHttp({}, pushed, { from: "pubsub-push" })).body, pushed);
});

test("several events of Event Grid are a batch", () => {
  const batch = batchFromHttp({}, JSON.stringify([grid({ id: "1" }), grid({ id: "2" })]), { from: "event-grid" });
  assert.deepEqual(
    Array.from(batch, ({ id }) => id),
    ["1", "2"],
  );
  assert.deepEqual(
    JSON.parse(toEventGrid(batch).body).map(({ id }) => id),
    ["1", "2"],
  );
  assert.throws(() => fromHttp({}, toEventGrid(batch).body, { from: "event-grid" }), {
    code: "ERR_INVALID_EVENT",
    message: "the envelope has 2 events; read it with batchFromHttp or batchFromRequest",
  });
  assert.equal(batchFromHttp({}, "[]", { from: "event-grid" }).length, 0);
});

/** [name, from, body, the message] */
const INVALID = [
  ["no JSON", "event-grid", "x", /^the body is not an envelope "event-grid": it is not JSON$/],
  ["no body", "pubsub-push", "", /it is not JSON/],
  ["bytes that are not UTF-8", "pubsub-push", Uint8Array.of(0x22, 0xff, 0x22), /it is not UTF-8/],
  ["a number", "event-grid", "1", /it is not an object/],
  ["an object for Event Grid", "event-grid", JSON.stringify(grid()), /it must be an array of events/],
  ["null among the events", "event-grid", "[null]", /^event 0 of the batch: the envelope "event-grid" lacks "id"$/],
  ...["id", "topic", "subject", "eventType", "eventTime"].map((member) => [
    `Event Grid without ${member}`,
    "event-grid",
    JSON.stringify([grid(), grid({ [member]: undefined })]),
    new RegExp(`^event 1 of the batch: the envelope "event-grid" lacks "${member}"$`),
  ]),
  ...["id", "topic", "eventType", "eventTime"].map((member) => [
    `Event Grid with an empty ${member}`,
    "event-grid",
    JSON.stringify([grid({ [member]: "" })]),
    new RegExp(`lacks "${member}"$`),
  ]),
  ["a time that is none", "event-grid", JSON.stringify([grid({ eventTime: "today" })]), /"time"/],
  ["an id that is a number", "event-grid", JSON.stringify([grid({ id: 1 })]), /"id"/],
  ["a member twice", "event-grid", `[${JSON.stringify(grid()).replace("{", '{"topic":"/x",')}]`, /"source"/],
  ["Pub/Sub without message", "pubsub-push", JSON.stringify({ subscription: "s" }), /lacks "message"$/],
  [
    "Pub/Sub without subscription",
    "pubsub-push",
    JSON.stringify(push({}, { subscription: "" })),
    /lacks "subscription"$/,
  ],
  [
    "Pub/Sub without messageId",
    "pubsub-push",
    JSON.stringify(push({ messageId: undefined, message_id: undefined })),
    /lacks "message.messageId"$/,
  ],
  ["an array for Pub/Sub", "pubsub-push", "[]", /lacks "message"$/],
  ...["a", "SGVsbG8", "SGVs bG8=", "SGVsbG8=\n", "----", 7, {}].map((data) => [
    `wrong Base64: ${JSON.stringify(data)}`,
    "pubsub-push",
    JSON.stringify(push({ data })),
    /"message.data" of the envelope "pubsub-push" is not Base64/,
  ]),
  ...[[["a"]], { a: 1 }, { a: null }, "text"].map((attributes) => [
    `attributes ${JSON.stringify(attributes)}`,
    "pubsub-push",
    JSON.stringify(push({ attributes })),
    /message.attributes must be an object of strings/,
  ]),
  ["a time of Pub/Sub that is none", "pubsub-push", JSON.stringify(push({ publishTime: "soon" })), /"time"/],
  [
    "attributes of a CloudEvent that lack one",
    "pubsub-push",
    JSON.stringify(push({ attributes: { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s" } })),
    /"type"/,
  ],
  [
    "a structured CloudEvent that is none",
    "pubsub-push",
    JSON.stringify(push({ attributes: { "content-type": "application/cloudevents+json" } })),
    /./,
  ],
];

for (const [name, from, body, message] of INVALID) {
  test(`${name}: 400 with the reason, and the receiver goes on`, async () => {
    assert.throws(() => batchFromHttp({}, body, { from }), { message, culprit: "peer" });
    const seen = [];
    const handle = webhook({
      allowedOrigins: "*",
      from,
      onEvent: ({ id }) => void seen.push(id),
      onRejected: ({ status }) => seen.push(status),
      onError: (error) => seen.push(error),
    });
    const deliver = (body) => handle(new Request("http://x/", { method: "POST", body }));
    const response = await deliver(body);
    assert.equal(response.status, 400);
    assert.match((await response.text()).trim(), message);
    assert.equal((await deliver(JSON.stringify(from === "event-grid" ? [grid()] : push()))).status, 204);
    assert.deepEqual(seen, [400, from === "event-grid" ? "831e1650" : "2070443601311540"]);
  });
}

test("onInvalid leaves out events of Event Grid that lack a member, as they arrived", () => {
  const { topic: _, ...bad } = grid();
  const told = [];
  const onInvalid = (error, raw, index) => told.push([error.code, error.attribute, JSON.parse(raw), index]);
  const text = JSON.stringify([grid({ id: "1" }), bad, grid({ id: "2" })]);
  const batch = batchFromHttp({}, text, { from: "event-grid", onInvalid });
  assert.deepEqual(
    Array.from(batch, ({ id }) => id),
    ["1", "2"],
  );
  assert.deepEqual(told, [["ERR_INVALID_EVENT", "topic", bad, 1]]);
  assert.deepEqual(
    batch.rejected.map(({ index }) => index),
    [1],
  );
});

test("envelopes are never guessed, and their names are checked", async () => {
  for (const body of [[grid()], push()])
    assert.throws(() => fromHttp({ "content-type": "application/json" }, JSON.stringify(body)), {
      code: "ERR_NOT_A_CLOUDEVENT",
    });
  const event = new CloudEvent({ id: "1", type: "t", source: "/s" });
  assert.throws(() => fromHttp({}, event.toString(), { from: "pubsub-push" }), { code: "ERR_INVALID_EVENT" });
  const wrong = {
    code: "ERR_INVALID_ARGUMENT",
    message: /^from must be "event-grid" or "pubsub-push"; received "sns"$/,
  };
  assert.throws(() => fromHttp({}, "[]", { from: "sns" }), wrong);
  assert.throws(() => webhook({ allowedOrigins: "*", onEvent: () => undefined, from: "sns" }), wrong);
  await assert.rejects(fromRequest(new Request("http://x/", { method: "POST", body: "[]" }), { from: "sns" }), wrong);
});

test("an event that an envelope cannot express is refused with its attribute", () => {
  const made = (init) => new CloudEvent({ id: "1", type: "t", source: "/s", time: "2026-01-01T00:00:00Z", ...init });
  for (const [attribute, init] of [
    ["time", { time: null }],
    ["tenant", { tenant: "north" }],
    ["specversion", { specversion: "0.3" }],
    ["dataschema", { dataschema: "https://x/y" }],
    ["data", { data: Uint8Array.of(1) }],
    ["data", { data: "<a/>", datacontenttype: "text/xml" }],
    ["data", { data: { a: 1 }, datacontenttype: "application/vnd.x+json" }],
  ])
    assert.throws(() => toEventGrid(made(init)), { code: "ERR_NOT_CONVERTIBLE", attribute }, attribute);
  const text = fromHttp({}, toEventGrid(made({ data: "text", dataversion: 2 })).body, { from: "event-grid" });
  assert.deepEqual([text.data, text.get("dataversion"), text.subject], ["text", "2", undefined]);
  assert.throws(() => toPubSubPush(made({})), { code: "ERR_INVALID_ARGUMENT", message: /^subscription must be/ });
  assert.throws(() => toPubSubPush({}), { code: "ERR_INVALID_ARGUMENT", message: /^event must be a CloudEvent/ });
  assert.throws(() => toEventGrid([{}]), { code: "ERR_INVALID_ARGUMENT", message: /^event must be a CloudEvent/ });
});

const validation = (data = { validationCode: "512d38b6", validationUrl: "https://rp.example/validate?id=1" }) =>
  JSON.stringify([grid({ eventType: "Microsoft.EventGrid.SubscriptionValidationEvent", subject: "", data })]);

test("the validation of a subscription is answered after the credentials were checked, and is not handed on", async () => {
  const seen = [];
  const handle = webhook({
    authorize: (request) => request.headers.get("x-key") === "s3cret",
    from: "event-grid",
    schema: { "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "never" }] }) } },
    onEvent: () => void seen.push("event"),
  });
  const deliver = (headers, body = validation()) => handle(new Request("http://x/", { method: "POST", headers, body }));
  assert.equal((await deliver({})).status, 401);
  const granted = await deliver({ "x-key": "s3cret" });
  assert.deepEqual([granted.status, await granted.json()], [200, { validationResponse: "512d38b6" }]);
  const lacking = await deliver({ "x-key": "s3cret" }, validation({}));
  assert.deepEqual(
    [lacking.status, await lacking.text()],
    [400, "the validation event of Event Grid lacks data.validationCode\n"],
  );
  assert.deepEqual(seen, []);
});

test("consent may follow later: onHandshake gets the callback of either handshake, and grants nothing yet", async () => {
  const asked = [];
  let answer = false;
  const errors = [];
  const handle = webhook({
    allowedOrigins: ["sender.example"],
    from: "event-grid",
    onHandshake: async (handshake) => {
      asked.push(handshake);
      if (answer === undefined) throw new Error("no database");
      return answer;
    },
    onEvent: () => undefined,
    onError: ({ message }) => errors.push(message),
  });
  const validate = () => handle(new Request("http://x/", { method: "POST", body: validation() }));
  const ask = (origin) => {
    const headers = { "webhook-request-origin": origin, "webhook-request-callback": "https://s.example/grant" };
    return handle(new Request("http://x/", { method: "OPTIONS", headers }));
  };
  const later = await validate();
  assert.deepEqual([later.status, await later.text()], [200, ""]);
  const refused = await ask("sender.example");
  assert.deepEqual([refused.status, refused.headers.get("webhook-allowed-origin")], [200, null]);
  await ask("other.example");
  assert.deepEqual(asked, [
    { origin: TOPIC, callback: "https://rp.example/validate?id=1" },
    { origin: "sender.example", callback: "https://s.example/grant" },
  ]);
  answer = true;
  assert.equal((await ask("sender.example")).headers.get("webhook-allowed-origin"), "sender.example");
  assert.deepEqual(await (await validate()).json(), { validationResponse: "512d38b6" });
  answer = undefined;
  assert.deepEqual([(await validate()).status, (await ask("sender.example")).status], [500, 500]);
  assert.deepEqual(errors, ["no database", "no database"]);
  assert.throws(
    () => webhook({ allowedOrigins: "*", onEvent: () => undefined, onHandshake: true }),
    /onHandshake must be/,
  );
});

test("a Response for one of several events of Event Grid is refused, so that none is lost", async () => {
  const handled = [];
  const handle = webhook({
    allowedOrigins: "*",
    from: "event-grid",
    onEvent: ({ id }) => {
      handled.push(id);
      return new Response("done");
    },
  });
  const body = JSON.stringify([grid({ id: "1" }), grid({ id: "2" })]);
  assert.equal((await handle(new Request("http://x/", { method: "POST", body }))).status, 500);
});

test("an envelope of a million escapes is read or refused, and never breaks", () => {
  const data = { text: '\\\n"'.repeat(150_000) };
  assert.deepEqual(fromHttp({}, JSON.stringify([grid({ data })]), { from: "event-grid" }).data, data);
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  const text = JSON.stringify([grid({ data: "?" })]).replace('"?"', deep);
  assert.throws(() => fromHttp({}, text, { from: "event-grid" }), { culprit: "peer" });
});
