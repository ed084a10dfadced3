// Checks that must pass wherever the package loads. It uses only public API and web standards, so that it runs everywhere.

/**
 * @param api the namespace of an entry point
 * @param env.also namespaces of other entry points in the same program: they must share their classes with `api`
 * @param env.bcEvents the namespace of `eventferry/bc-events`
 * @returns {Promise<{ checks: number, problems: string[] }>} plain JSON, which every sandbox can pass out
 */
export async function smoke(api, { also = [], bcEvents } = {}) {
  const problems = [];
  const checks = Object.entries({
    ...CHECKS,
    ...(api.Publisher && CHECKS_OF_THE_FULL_MODULE),
    ...(bcEvents && {
      "BriteEvents: topics in YAML, validated data, and a batch with its job id": () =>
        publishesBriteEvents(api, bcEvents),
    }),
    ...(api.PipelineDataSource && CHECKS_OF_GLASSFLOW),
    ...(api.BayeuxClient && CHECKS_OF_STREAMS),
    ...(api.EventsProtocolClient && CHECKS_OF_THE_EVENTS_PROTOCOL),
    ...(also.length > 0 && { "entry points share their classes": sharesClasses }),
  });
  for (const [name, check] of checks) {
    try {
      await check(api, also);
    } catch (error) {
      problems.push(`${name}: ${error?.message ?? error}`);
    }
  }
  return { checks: checks.length, problems };
}

/** The same for `eventferry/slim`, with the checks before `init`. */
export async function smokeSlim(api, modules) {
  const problems = [];
  const refuses = async (code, body) => {
    try {
      await body();
      problems.push(`nothing was thrown instead of ${code}`);
    } catch (error) {
      if (!api.isFerryError(error, code)) problems.push(`${error?.code ?? error} was thrown instead of ${code}`);
    }
  };
  await refuses("ERR_NOT_INITIALIZED", () => api.CloudEvent.fromJSON(TEXT));
  await refuses("ERR_WASM_INIT", () => api.init({ codecs: Uint8Array.of(1, 2, 3) }));
  await refuses("ERR_INVALID_ARGUMENT", () => api.init({ codex: modules.codecs }));
  await refuses("ERR_INVALID_ARGUMENT", () => api.init(7));
  await api.init(modules);
  await api.init(modules);
  const all = await smoke(api);
  return { checks: all.checks + 4, problems: [...problems, ...all.problems] };
}

const TEXT = `{"specversion":"1.0","id":"1","source":"/shop","type":"order.created","data":{"amount":12345678901234567890}}`;

const CHECKS = {
  "an event has its attributes": (api) => {
    const event = sample(api);
    equal(event.specversion, "1.0");
    equal(event.subject, 'Grüße aus 100% "Köln" 🚢');
    equal(event.get("shard"), 7);
    equal(event.data, { orderId: 7 });
    equal(Math.abs(Date.parse(event.time) - Date.now()) < 60_000, true);
    equal(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(event.id), true);
  },
  "an event survives a round trip in binary mode": (api) => {
    const event = sample(api);
    const message = api.toBinary(event);
    equal(message.headers["content-type"], "application/json");
    equal(message.body, '{"orderId":7}');
    equalEvents(api.fromHttp(message.headers, message.body), event);
  },
  "headers are percent-encoded UTF-8": (api) => {
    const { headers } = api.toBinary(sample(api));
    equal(headers["ce-subject"], "Gr%C3%BC%C3%9Fe%20aus%20100%25%20%22K%C3%B6ln%22%20%F0%9F%9A%A2");
    equal(api.fromHttp(new Headers(headers)).subject, 'Grüße aus 100% "Köln" 🚢');
  },
  "an event survives a round trip in structured mode": (api) => {
    const event = sample(api);
    const { headers, body } = api.toStructured(event);
    equal(api.contentMode(headers), "structured");
    equalEvents(api.fromHttp(headers, new TextEncoder().encode(body)), event);
  },
  "a batch survives a round trip and can be filtered": (api) => {
    const events = ["a", "b", "a"].map((type, at) => new api.CloudEvent({ type, source: "/s", id: String(at) }));
    const { headers, body } = api.toBatch(events);
    const batch = api.batchFromHttp(headers, body);
    equal(batch.length, 3);
    const kept = batch.filter((event) => event.type === "a");
    equal(
      [...kept].map((event) => event.id),
      ["0", "2"],
    );
    equal(JSON.parse(api.toBatch(kept).body).length, 2);
  },
  "a Request carries an event": async (api) => {
    const event = sample(api);
    for (const mode of ["binary", "structured"]) {
      const request = api.toRequest("http://example.com/events", event, { mode });
      equal(request.method, "POST");
      equalEvents(await api.fromRequest(request), event);
    }
    equal((await api.batchFromRequest(api.toRequest("http://example.com/", [event, event]))).length, 2);
  },
  "a web hook receives an event": async (api) => {
    const types = [];
    const hook = api.webhook({ allowedOrigins: "*", onEvent: (event) => void types.push(event.type) });
    const response = await hook(api.toRequest("http://example.com/", sample(api)));
    equal([response.status, types], [204, ["com.example.order.created"]]);
  },
  "binary data is unchanged": async (api) => {
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
    const event = new api.CloudEvent({
      type: "t",
      source: "/s",
      data: bytes,
      datacontenttype: "application/octet-stream",
    });
    for (const mode of ["binary", "structured"]) {
      const read = await api.fromRequest(api.toRequest("http://example.com/", event, { mode }));
      equal(Array.from(read.dataBytes), Array.from(bytes));
    }
  },
  "an event that is passed on keeps numbers that JavaScript cannot represent": (api) => {
    const event = api.fromHttp({ "content-type": "application/cloudevents+json" }, TEXT);
    equal(api.toBinary(event).body, '{"amount":12345678901234567890}');
    equal(api.toStructured(event).body, TEXT);
    equal(api.toStructured(event.with({ id: "2" })).body.includes("12345678901234567890"), true);
  },
  "an error has a code and names the attribute": (api) => {
    const missing = thrown(() => new api.CloudEvent({ type: "t" }));
    equal([missing.code, missing.attribute, missing.culprit], ["ERR_MISSING_ATTRIBUTE", "source", "caller"]);
    // This error comes from the WebAssembly module.
    const wrong = thrown(() => api.CloudEvent.fromJSON(TEXT.replace('"id":"1"', '"id":"1","time":"yesterday"')));
    equal([wrong.code, wrong.attribute], ["ERR_INVALID_ATTRIBUTE_VALUE", "time"]);
    for (const error of [missing, wrong]) {
      equal(
        [error instanceof Error, error instanceof api.FerryError, error.name, api.isFerryError(error, error.code)],
        [true, true, "FerryError", true],
      );
      equal(typeof error.stack, "string");
    }
  },
  "events may need more than one page of WebAssembly memory": (api) => {
    const data = { text: "é".repeat(300_000) };
    const { body } = api.toStructured(new api.CloudEvent({ type: "t", source: "/s", data }));
    equal(api.CloudEvent.fromJSON(body).data.text.length, 300_000);
    equal(api.CloudEvent.fromJSON(TEXT).id, "1");
  },
};

const CHECKS_OF_STREAMS = {
  "a stream subscribes and receives": async (api) => {
    let release;
    const fetch = async (...args) => {
      const request = new Request(...args);
      const messages = await request.json();
      const [{ channel, advice }] = messages;
      if (channel === "/meta/connect" && !advice) {
        await new Promise((resolve) => {
          release = resolve;
        });
      }
      const event = channel === "/meta/connect" && !advice ? [{ channel: "/a", data: { text: "é" } }] : [];
      return Response.json([
        ...event,
        ...messages.map(({ channel, id, subscription }) => ({
          channel,
          id,
          subscription,
          successful: true,
          clientId: "c",
          supportedConnectionTypes: ["long-polling"],
        })),
      ]);
    };
    const client = new api.BayeuxClient("https://example.com/smoke", { fetch, transports: ["long-polling"] });
    await client.open();
    await client.subscribe("/a");
    while (!release) await new Promise((resolve) => setTimeout(resolve));
    release();
    const { channel, data } = await client.receive();
    equal([channel, data], ["/a", { text: "é" }]);
    release = undefined;
    await client.close();
    equal([client.closed, typeof api.SalesforceClient, typeof api.replayStore], [true, "function", "function"]);
  },
};

const CHECKS_OF_THE_FULL_MODULE = {
  "a session stores its events until the server has accepted them": async (api) => {
    const bodies = [];
    const answers = [503, 200];
    const fetch = async (...args) => {
      const request = new Request(...args);
      bodies.push(await request.text());
      return new Response(null, { status: answers.shift() });
    };
    // The store "auto" uses IndexedDB in browsers and memory elsewhere.
    const publisher = new api.Publisher({
      url: "https://example.com/smoke",
      mode: "batch",
      fetch,
      outbox: { retry: { baseMs: 1 } },
    });
    const session = publisher.session();
    session.publish(sample(api));
    equal(session.rollback().length, 1);
    const event = sample(api);
    const receipt = session.publish(event);
    const report = await session.flush();
    equal([report.accepted, report.aborted], [[event.id], false]);
    equal((await receipt.delivered).ids, [event.id]);
    equal(await publisher.outbox.drain(), { delivered: 1, dead: 0, pending: 0, aborted: false });
    equal(bodies, [`[${event}]`, `[${event}]`]);
    await publisher.outbox.close();
  },
  "a publisher delivers with the second attempt": async (api) => {
    const answers = [503, 204];
    const received = [];
    const fetch = async (...args) => {
      const request = new Request(...args);
      received.push((await api.fromRequest(request)).id);
      return new Response(null, { status: answers.shift() });
    };
    const publisher = new api.Publisher({
      url: "https://example.com/events",
      fetch,
      retry: { attempts: 2, baseMs: 1 },
    });
    const event = sample(api);
    equal(await publisher.send(event), { status: 204, attempts: 2, ids: [event.id] });
    equal(received, [event.id, event.id]);
    publisher.close();
  },
  "a publisher reports why it could not deliver": async (api) => {
    const refuse = async () => new Response("no such topic", { status: 404 });
    const broken = async () => Promise.reject("not even an Error");
    for (const [fetch, code, status] of [
      [refuse, "ERR_REJECTED", 404],
      [broken, "ERR_NETWORK", undefined],
    ]) {
      const publisher = new api.Publisher({ url: "https://example.com/events", fetch });
      const error = await publisher.send(sample(api)).then(
        () => undefined,
        (error) => error,
      );
      equal([error?.code, error?.status], [code, status]);
      publisher.close();
    }
  },
};

const CHECKS_OF_GLASSFLOW = {
  "a pipeline publishes and consumes events": async (api) => {
    const requests = [];
    const answers = [
      new Response("{}"),
      new Response(null, { status: 204 }),
      new Response('{"payload":{"n":1},"response":{"n":2},"status":"success"}'),
    ];
    const fetch = async (...args) => {
      const request = new Request(...args);
      requests.push(
        `${request.method} ${new URL(request.url).pathname} ${request.headers.get("x-pipeline-access-token")} ${await request.text()}`,
      );
      return answers.shift();
    };
    const options = {
      pipelineId: "p 1",
      pipelineAccessToken: async () => "t",
      baseUrl: "https://example.com/v1",
      fetch,
    };
    const source = new api.PipelineDataSource(options);
    equal(await source.publish({ n: 1n }), { status: 200 });
    source.close();
    const sink = new api.PipelineDataSink({ ...options, backoff: { baseMs: 1, maxMs: 2 } });
    for await (const event of sink) {
      equal([event.payload, event.response, event.toCloudEvent().data], [{ n: 1 }, { n: 2 }, { n: 2 }]);
      break;
    }
    equal(await sink.close(), []);
    const consume = "POST /v1/pipelines/p%201/topics/output/events/consume t ";
    equal(requests, ['POST /v1/pipelines/p%201/topics/input/events t {"n":1}', consume, consume]);
  },
};

const CHECKS_OF_THE_EVENTS_PROTOCOL = {
  "an events-protocol server answers a client": async (api) => {
    const events = new api.EventRegistry().register({
      name: "get:user:name",
      schema: ({ id }) => typeof id === "number",
      handle: async (event, { id }) => ({ name: `Åsa ${id} 🚢`, sender: event.userId }),
    });
    const processor = new api.EventProcessor(events);
    const client = new api.EventsProtocolClient({ url: "https://example.com/events", fetch: processor.fetch });
    const send = (name, payload) => client.sendEvent({ name, payload, identity: { userId: 1 }, auth: { token: "t" } });
    const { isSuccess, payload } = await send("get:user:name", { id: 7 });
    equal([isSuccess, payload], [true, { name: "Åsa 7 🚢", sender: "1" }]);
    equal(
      [(await send("get:user:name", {})).errorType, (await send("get:nothing")).errorType],
      ["badRequest", "eventNotFound"],
    );
    equal(JSON.parse(await processor.process("no event")).payload.code, "INVALID_COMMUNICATION_PROTOCOL");
    client.close();
  },
};

function sharesClasses(api, also) {
  for (const other of also) {
    equal([other.CloudEvent === api.CloudEvent, other.FerryError === api.FerryError], [true, true]);
    equalEvents(
      other.fromHttp({ "content-type": "application/cloudevents+json" }, sample(api).toString()),
      sample(api),
    );
    equal(JSON.parse(other.toBatch([sample(api)]).body).length, 1);
  }
}

/** @param needsYaml whether a runtime without permission to load the YAML parser is an error */
export async function publishesBriteEvents(api, { EventClient, FerryError }, needsYaml = false) {
  const requests = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    requests.push([
      new URL(request.url).pathname,
      request.headers.get("x-britecore-job-id"),
      (await request.json()).length,
    ]);
    return Response.json({ failedRecords: 0, records: [] }, { status: 201 });
  };
  const make = (topics) =>
    new EventClient({ apiUrl: "https://example.com/api", serviceName: "smoke-test", topics, fetch });
  let client;
  try {
    client = make(
      "DefaultCategory: smoke\nTopics:\n  - {Action: Created, Entity: BigTest, Schema: {type: object, required: [id]}}\n",
    );
  } catch (error) {
    // In Deno without permissions YAML cannot be read, as the page about BriteEvents says.
    if (!error.message.includes("--allow-env=LOG_TOKENS,LOG_STREAM") || !globalThis.Deno || needsYaml) throw error;
    client = make({
      DefaultCategory: "smoke",
      Topics: [{ Action: "Created", Entity: "BigTest", Schema: { type: "object", required: ["id"] } }],
    });
  }
  const session = client.serviceSession("job-1");
  const refused = thrown(() => session.createdBigTest({ no: 1 }));
  equal(
    [refused.code, refused instanceof api.FerryError, FerryError === api.FerryError, session.staged],
    ["ERR_INVALID_DATA", true, true, 0],
  );
  for (const name of [
    "createdBigTest",
    "bigTestCreated",
    "created_big_test",
    "big_test_created",
    "createdBigTest",
    "createdBigTest",
  ])
    session[name]({ id: name });
  const { delivered } = await session.flush({ until: "delivered" });
  equal([delivered.length, requests], [6, [["/api/events/bulk/", "job-1", 6]]]);
  await client.close();
}

let id;
/** The same event each time, except for its time. */
function sample({ CloudEvent }) {
  const event = new CloudEvent({
    type: "com.example.order.created",
    source: "https://example.com/shop",
    subject: 'Grüße aus 100% "Köln" 🚢',
    data: { orderId: 7 },
    shard: 7,
    ...(id && { id }),
  });
  id = event.id;
  return event;
}

function equalEvents(found, event) {
  for (const name of ["id", "source", "type", "subject"]) equal(found[name], event[name]);
  equal(String(found.get("shard")), String(event.get("shard")));
  equal(found.data, event.data);
}

function equal(found, expected) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`found ${left}, expected ${right}`);
}

function thrown(body) {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
