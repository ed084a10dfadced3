// Runs the cases of the events protocol against the public API, in Node and workerd. They were recorded from the Python
// package. The advice of a case says where this package differs, and each advice has a rule here. A case with an advice
// that has no rule fails.
import { onlyKnown } from "./known-keys.mjs";

/**
 * @param api the namespace of `eventferry/events-protocol`
 * @param cases the cases of the file
 * @param process answers a request of a server case: `(raw, envelope) => Promise<text>`; by default an `EventProcessor` does
 * @returns {Promise<{ id: string, kind: string, problem?: string }[]>}
 */
export async function runCases(api, cases, process = processorOf(api)) {
  const results = [];
  for (const testCase of cases) {
    const { id, kind } = testCase;
    let problem;
    try {
      const perform = KINDS[kind];
      if (!perform) problem = `there is no rule for the kind ${kind}`;
      else {
        checkKeys(testCase);
        problem = await perform(api, testCase, process);
      }
    } catch (error) {
      problem = `threw ${error?.code ?? ""} ${error?.stack ?? error}`;
    }
    results.push({ id, kind, ...(problem !== undefined && { problem }) });
  }
  return results;
}

/** The server with which the cases were recorded, in the API of this package. */
export function registryOf(api) {
  const { EventBuilder, EventRegistry } = api;
  const contextOf = ({ id, flowId, eventName, eventVersion, userId, userType }) => ({
    id,
    flow_id: flowId,
    event_name: eventName,
    event_version: eventVersion,
    user_id: userId ?? null,
    user_type: userType ?? null,
  });
  const outcomes = {
    base: () => {
      throw new api.EventException({ a: 1 });
    },
    dep: () => {
      throw new api.EventFailedDependencyException("svc down");
    },
    timeout: () => {
      throw new api.EventTimeoutException("too slow");
    },
    notfound: () => {
      throw new api.EventNotFoundException("nope");
    },
    missing: () => {
      throw new api.MissingEventInformationException({ fields: ["cpf"] });
    },
    parse: () => {
      throw new api.EventParsingException({ x: 1 });
    },
    dict: () => ({ plain: true }),
    redirect: (event) => EventBuilder.redirectFor(event, "https://e.x", { a: 1 }),
    list: () => [1, 2],
    echo: (event) => event,
    ctx: (_event, _payload, context) => contextOf(context),
  };
  return new EventRegistry()
    .register({
      name: "get:event:example",
      version: 1,
      schema: model({ example: text }),
      handle: (event, { example }) => EventBuilder.responseFor(event, { got: example }),
    })
    .register({
      name: "put:nested",
      camelCase: true,
      schema: model({ userName: text, address: model({ zipCode: int }), tags: optional(list, []) }),
      handle: (_event, payload) => payload,
    })
    .register({ name: "do:boom", handle: (event, payload, context) => outcomes[payload.k](event, payload, context) })
    .register({
      name: "async:ok",
      handle: async (_event, _payload, { userId, userType }) => ({
        user_id: userId,
        user_type: userType ?? null,
        t: "str",
      }),
    })
    .register({ name: "no:schema", handle: (_event, payload) => payload });
}

function processorOf(api) {
  const processors = Object.fromEntries(
    ["usual", "strict", "lenient"].map((envelope) => [envelope, new api.EventProcessor(registryOf(api), { envelope })]),
  );
  return (raw, envelope) => processors[envelope].process(raw);
}

const KINDS = {
  server,
  "server-cross": cross,
  client,
  register,
  "response-classification": classify,
  model: events,
  builder,
  exceptions,
  context,
};

// ---------------------------------------------------------------- known keys

/** The members of input and expectation that each kind checks. `documented` lists those that it ignores, with the reason. */
const KEYS = {
  // Ignored: the exception of the original where this package responds with an event, its log, and its response as text.
  server: {
    input: ["raw"],
    expected: ["response"],
    documented: { input: ["processor"], expected: ["response_text", "raises", "message", "log_levels"] },
  },
  "server-cross": {
    input: ["raw"],
    expected: ["python-0.2.4", "js-2.1.1", "rs-0.1.0"],
    documented: { input: ["handler"] },
  },
  // Ignored: class and text of an exception in Python, its time limit, which the advice replaces, and its process context.
  client: {
    input: ["send_event", "server"],
    expected: ["event", "is_success", "is_redirect", "is_error", "error_type"],
    documented: {
      input: ["context"],
      expected: ["class", "raises", "message", "fields", "seconds", "unit", "default_timeout"],
    },
  },
  // Ignored: the classes registered in Python, its messages, and the pattern that the advice replaces.
  register: {
    input: ["names", "name", "version"],
    expected: ["code", "type", "parameters", "expected"],
    documented: {
      input: ["regex", "first", "second", "handler", "python"],
      expected: ["raises", "message", "handler", "event"],
    },
  },
  // Keyed by the name of an event.
  "response-classification": {
    input: ["names"],
    expected: undefined,
    entries: ["is_success", "is_redirect", "is_error", "error_type", "event_type"],
  },
  // Ignored: the expression in Python. The schema is `nested` here.
  model: {
    input: ["payload"],
    expected: ["text", "fields", "event", "userName", "address", "tags"],
    documented: { input: ["python", "schema"], expected: ["class", "raises", "message"] },
  },
  builder: { input: ["payload"], expected: ["event"], documented: { input: ["python"], expected: ["class"] } },
  // Keyed by the name of an exception.
  exceptions: { input: [], expected: undefined, entries: ["code", "type", "parameters", "expected", "raises"] },
  // Ignored: the context that the original leaves behind, which the advice forbids.
  context: { input: ["outer"], expected: [], documented: { expected: ["context_after"] } },
};

/** Throws for keys that no rule checks. */
function checkKeys(testCase) {
  const { id, kind, input, expected, requests = [] } = testCase;
  const keys = KEYS[kind];
  // Documentation: the reason for the case, and where it was measured.
  onlyKnown(testCase, ["id", "kind", "input", "expected", "advice", "requests", "why", "source"], "the case", id);
  onlyKnown(input, [...keys.input, ...(keys.documented?.input ?? [])], "input", id);
  if (id === "ep-reg-name-rules") onlyKnown(expected, input.names, "expected", id);
  else if (keys.expected) onlyKnown(expected, [...keys.expected, ...(keys.documented?.expected ?? [])], "expected", id);
  for (const [name, entry] of Object.entries(keys.entries ? expected : {}))
    onlyKnown(entry, keys.entries, `expected[${JSON.stringify(name)}]`, id);
  onlyKnown(
    input.send_event,
    ["name", "version", "payload", "id", "flow_id", "identity", "auth", "metadata", "timeout"],
    "input.send_event",
    id,
  );
  onlyKnown(input.outer, ["id", "flow_id"], "input.outer", id);
  if (input.server?.length > 1)
    throw new Error(`the runner supports one response of the server, and the case ${id} has ${input.server.length}`);
  for (const answer of input.server ?? [])
    onlyKnown(answer, ["delay", "status", "json", "text", "headers"], "input.server", id);
  // Documentation: the body as text is that of Python; of the headers the content type is the same for all.
  for (const request of requests)
    onlyKnown(request, ["method", "path", "body_json", "body_text", "headers"], "requests", id);
}

// ---------------------------------------------------------------- servers

async function server(api, { id, input, expected, advice }, process) {
  const answer = JSON.parse(await process(input.raw, "usual"));
  return (
    envelopeOf(answer) ??
    SERVER[advice]?.({ api, id, input, expected, answer, process }) ??
    (SERVER[advice] ? undefined : `there is no rule for the advice "${advice}"`)
  );
}

/** What every response must satisfy. */
function envelopeOf(answer) {
  return (
    same(
      Object.keys(answer),
      ["name", "version", "id", "flowId", "payload", "identity", "auth", "metadata"],
      "the members",
    ) ?? same(answer.auth, {}, "auth")
  );
}

/** The response as recorded, without the members that only Python servers repeat. */
const asRecorded = ({ answer, expected }) =>
  same(answer, { ...expected.response, identity: {}, auth: {}, metadata: {} }, "the answer");
const isBadProtocol =
  (property) =>
  ({ answer }) =>
    same(
      [answer.name, answer.version, answer.payload.code],
      ["badProtocol", 1, "INVALID_COMMUNICATION_PROTOCOL"],
      "the answer",
    ) ??
    (UUID.test(answer.id) && UUID.test(answer.flowId) ? undefined : "the ids are not fresh") ??
    (property && same(answer.payload.parameters, { propertyName: property }, "the parameters"));
const isBadRequest = ({ answer, input }) =>
  same(
    [answer.name, answer.payload.code],
    [`${JSON.parse(input.raw).name}:badRequest`, "MISSING_FIELDS"],
    "the answer",
  );

const SERVER = {
  mirror: asRecorded,
  "answer with empty objects; opt-in echo": asRecorded,
  "keep the code, add the real reason": asRecorded,
  "treat as {}": asRecorded,
  "lenient on read, always write all eight members": asRecorded,
  "accept any JSON payload": asRecorded,
  "AsyncLocalStorage-like context, explicit ctx argument in browsers": asRecorded,
  "full JSON pointer, all errors": (one) =>
    isBadRequest(one) ??
    same(
      one.answer.payload.parameters.fields.map(({ name, pointer, errorType, message }) => ({
        name,
        pointer,
        errorType,
        message,
      })),
      one.expected.response.payload.parameters.fields.map(({ name, ...rest }) => ({
        name: `address.${name}`,
        pointer: `/address/${name}`,
        ...rest,
      })),
      "the fields",
    ),
  // Payloads of any type are valid, as in Kotlin; the schema refuses them.
  "never throw on bad input: answer badProtocol": (one) =>
    /"payload": (?:null|"|\[)/.test(one.input.raw) ? isBadRequest(one) : isBadProtocol()(one),
  "keep arrays as arrays": isBadRequest,
  "require text": isBadProtocol("name"),
  badProtocol: isBadProtocol("id"),
  refuse: isBadProtocol(),
  "flowId wins": (one) =>
    asRecorded({
      ...one,
      expected: { response: { ...one.expected.response, flowId: JSON.parse(one.input.raw).flowId } },
    }),
  "answer badProtocol as the other ports do, or generate fresh ids": async (one) => {
    const lenient = JSON.parse(await one.process(one.input.raw, "lenient"));
    return (
      isBadProtocol("id")(one) ??
      (UUID.test(lenient.id) && UUID.test(lenient.flowId) && lenient.id !== lenient.flowId
        ? undefined
        : "a lenient server makes no fresh ids")
    );
  },
  "badProtocol in strict mode": async (one) =>
    isBadProtocol("payload")(one) ??
    asRecorded({ ...one, answer: JSON.parse(await one.process(one.input.raw, "lenient")) }),
  "require a code": ({ api, answer }) =>
    threw(() => new api.EventException({ a: 1 }), "ERR_INVALID_ARGUMENT") ??
    same([answer.name, answer.payload], ["do:boom:error", { code: "UNHANDLED_ERROR", parameters: {} }], "the answer"),
  "wrap plain values as the response payload": ({ answer }) =>
    same([answer.name, answer.payload], ["do:boom:response", { plain: true }], "the answer"),
  "keep ids as text": ({ answer, input }) =>
    same(
      [answer.name, answer.payload.user_id],
      ["async:ok:response", JSON.parse(input.raw).identity.user.id],
      "the answer",
    ),
  "return the raw payload": ({ answer, input }) =>
    same([answer.name, answer.payload], ["no:schema:response", JSON.parse(input.raw).payload], "the answer"),
};

/**
 * The same request went through three servers. A strict server of this package responds as Kotlin does, for which the Rust
 * port stands in: where that refuses a member, the response names the member. The Rust port refuses two things that Kotlin
 * accepts: ids that are not UUIDs, and versions above 65535.
 */
async function cross(_api, { id, input, expected }, process) {
  const answer = JSON.parse(await process(input.raw, "strict"));
  const usual = JSON.parse(await process(input.raw, "usual"));
  const problem = envelopeOf(answer) ?? envelopeOf(usual);
  if (problem) return problem;
  const rust = expected["rs-0.1.0"];
  const js = expected["js-2.1.1"];
  const isAcceptedByKotlin = /id-not-uuid|version-70000/.test(id);
  const oracle = isAcceptedByKotlin ? { ...js, ...(js.name === "eventNotFound" && { version: 1 }) } : rust;
  if (oracle.name === "badProtocol") {
    const message = oracle.payload.parameters.message;
    const member =
      /missing field `(\w+)`/.exec(message)?.[1] ?? (message.includes("expected u16") ? "version" : undefined);
    const found = isBadProtocol(member)({ answer });
    // Without identity, auth or metadata the Python server accepts the event, and so does this package unless strict.
    const usualProblem = ["identity", "auth", "metadata"].includes(member)
      ? same(usual.name, expected["python-0.2.4"].name, "the usual answer")
      : isBadProtocol(member)({ answer: usual });
    return found ?? usualProblem;
  }
  // The example here has a schema; that of the recording has none.
  if (oracle.payload.got === null || (id.includes("identity-string") && oracle.name.endsWith(":response"))) {
    return id.includes("identity-string")
      ? isBadProtocol("identity")({ answer })
      : same(answer.name, "get:event:example:badRequest", "the name");
  }
  return same(answer, oracle, "the strict answer") ?? same(usual, oracle, "the usual answer");
}

// ---------------------------------------------------------------- clients

const RESPONSE = {
  name: "a:b:response",
  version: 1,
  payload: { ok: true },
  id: "i",
  flowId: "f",
  identity: {},
  auth: {},
  metadata: {},
};

async function client(api, testCase) {
  const { id, input, expected, advice, requests = [] } = testCase;
  if (id === "ep-cli-default-timeout") return defaultTimeout(api);
  if (advice === "validate in the constructor")
    return threw(() => new api.EventClient({ url: "not a url" }), "ERR_INVALID_ARGUMENT");
  const [script] = input.server;
  const seen = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    if (advice === "FailedDependency") throw new TypeError("connection refused");
    seen.push({
      method: request.method,
      type: request.headers.get("content-type"),
      path: new URL(request.url).pathname,
      body: JSON.parse(await request.text()),
    });
    if (script?.delay)
      await new Promise((_resolve, reject) =>
        request.signal.addEventListener("abort", () => reject(request.signal.reason)),
      );
    const {
      status = 200,
      json = RESPONSE,
      text = JSON.stringify(json),
      headers = { "content-type": "application/json" },
    } = script ?? {};
    return new Response(status === 204 ? null : new TextEncoder().encode(text), { status, headers });
  };
  const { name, version, payload, id: eventId, flow_id: flowId, identity, auth, metadata, timeout } = input.send_event;
  const event = JSON.parse(JSON.stringify({ name, version, payload, id: eventId, flowId, identity, auth, metadata }));
  const send = (options) =>
    new api.EventClient({ url: "http://127.0.0.1/events/", fetch, ...options }).sendEvent({
      ...event,
      ...(timeout && { timeoutMs: 20 }),
    });
  if (advice === "validate, opt-out") {
    const refused = await rejected(send(), "ERR_INVALID_ARGUMENT");
    if (refused) return refused;
  }
  const response = await send({ checkNames: advice !== "validate, opt-out" }).catch((error) => error);
  for (const [at, { method, path, body_json }] of requests.entries()) {
    const wrong = same(
      [seen[at]?.method, seen[at]?.path, seen[at]?.type, withPlaceholders(seen[at]?.body, body_json)],
      [method, path, "application/json", body_json],
      "the request",
    );
    if (wrong) return wrong;
  }
  const rule = CLIENT[advice];
  if (!rule) return `there is no rule for the advice "${advice}"`;
  return rule({ api, response, expected, script, send, event });
}

function recorded({ response, expected }) {
  if (response instanceof Error) return `threw ${response.code} ${response.message}`;
  const { name, version, payload, id, flowId, identity, metadata } = response;
  const errorType = expected.is_error ? expected.error_type : undefined;
  return (
    same(
      { name, version, payload, id, flowId, identity, auth: response.auth, metadata },
      expected.event,
      "the event",
    ) ??
    same(
      [response.isSuccess, response.isRedirect, response.isError],
      [expected.is_success, expected.is_redirect, expected.is_error],
      "what it is",
    ) ??
    same(response.errorType, errorType, "the type of error")
  );
}

const failsWith =
  (code, body) =>
  ({ api, response }) => {
    if (!api.isFerryError(response, code)) return `is ${response?.code ?? response?.name}, not ${code}`;
    if (body !== undefined && response.bodyText !== body) return `kept ${JSON.stringify(response.bodyText)}`;
  };
/** Error types of other ports that the Python package does not have. */
const KNOWN = /(?:^|:)(?:eventNotFound|gone|unprocessable)$/;
const hasPayload =
  (json) =>
  ({ response }) =>
    same(response?.payload, json, "the payload");
const knowsErrorType = (one) => {
  const { suffix } = one.response;
  return (
    recorded({
      ...one,
      expected: { ...one.expected, error_type: KNOWN.test(one.expected.event.name) ? suffix : "unknown" },
    }) ?? same(suffix, one.expected.event.name.split(":").at(-1), "the suffix")
  );
};

const CLIENT = {
  mirror: (one) => (one.expected.event ? recorded(one) : failsWith("ERR_INVALID_EVENT")(one)),
  "validate, opt-out": recorded,
  "allow any JSON": ({ response }) => same(response.isSuccess, true, "success"),
  "know it": knowsErrorType,
  "map to eventNotFound": knowsErrorType,
  "return a tagged union; offer throwOnError": async (one) => {
    const error = await one.send({ throwOnError: true }).catch((error) => error);
    return (
      recorded(one) ??
      same([error.response?.errorType, one.response.kind], [one.response.errorType, "error"], "what was thrown")
    );
  },
  "parse an event body whatever the status; keep status and body on the error": async ({ api, response, script }) => {
    const wrong = same(
      [response.name, response.status, response.payload],
      [script.json.name, script.status, script.json.payload],
      "the response",
    );
    if (wrong) return wrong;
    script.json = "no event";
    const client = new api.EventClient({
      url: "http://127.0.0.1/events/",
      fetch: async () => new Response("no event", { status: script.status }),
    });
    const error = await client.sendEvent({ name: "event:name" }).catch((error) => error);
    return same([error.status, error.bodyText], [script.status, "no event"], "the error");
  },
  "keep the raw text": (one) => failsWith("ERR_INVALID_EVENT", one.script.text)(one),
  "BadProtocol error": failsWith("ERR_INVALID_EVENT"),
  "take the request's ids, flag it": ({ response, event }) =>
    same([response.id, response.flowId, response.hasRequestIds], [event.id, event.flowId, true], "the ids"),
  "accept any JSON": (one) => hasPayload(one.script.json.payload)(one),
  "always UTF-8": (one) => hasPayload(JSON.parse(one.script.text).payload)(one),
  "milliseconds, default 15000, documented": failsWith("ERR_TIMEOUT"),
  FailedDependency: ({ api, response }) =>
    failsWith("ERR_NETWORK")({ api, response }) ??
    same(response instanceof api.FailedDependencyException, true, "its class"),
};

/** Checks the delay of the timer instead of waiting for it. */
async function defaultTimeout({ EventClient }) {
  const { setTimeout: original } = globalThis;
  const delays = [];
  globalThis.setTimeout = (body, ms, ...more) => {
    delays.push(ms);
    return original(body, ms, ...more);
  };
  try {
    await new EventClient({ url: "http://127.0.0.1/events/", fetch: async () => Response.json(RESPONSE) }).sendEvent({
      name: "event:name",
    });
  } finally {
    globalThis.setTimeout = original;
  }
  return delays.includes(15_000) ? undefined : `timers were set to ${delays} ms`;
}

// ---------------------------------------------------------------- registry, events, builder, exceptions

function register(api, { id, input, expected, advice }) {
  const handle = () => ({});
  const registry = new api.EventRegistry();
  switch (id) {
    case "ep-reg-name-rules": {
      // The recording matches the pattern as a prefix; the advice is to match the whole name.
      const all = /^[a-z_]*[a-z](:[a-z_]*[a-z])+$/;
      return input.names
        .map((name) => {
          const register = () => registry.register({ name, handle });
          const problem = all.test(name) ? caught(register)?.message : threw(register, "ERR_INVALID_ARGUMENT");
          if (problem) return `${JSON.stringify(name)}: ${problem}`;
          new api.EventRegistry({ checkNames: false }).register({ name, handle });
          return undefined;
        })
        .find((problem) => problem !== undefined);
    }
    case "ep-reg-duplicate-overwrites": {
      registry.register({ name: "a:b", handle });
      const other = () => 2;
      return (
        threw(() => registry.register({ name: "a:b", handle: other }), "ERR_INVALID_ARGUMENT") ??
        same(
          registry.register({ name: "a:b", handle: other, replace: true }).get("a:b").handle === other,
          true,
          "the new one",
        )
      );
    }
    case "ep-reg-wrong-class":
    case "ep-reg-handler-abstract":
      return (
        threw(() => registry.register({ name: "a:b", handle: {} }), "ERR_INVALID_ARGUMENT") ??
        threw(() => registry.register({ name: "a:b" }), "ERR_INVALID_ARGUMENT")
      );
    case "ep-reg-register-without-version":
      return same(registry.register({ name: "a:b", handle }).events, [{ name: "a:b", version: 1 }], "the events");
    case "ep-reg-lookup-missing": {
      const error = caught(() => registry.get(input.name, input.version));
      const { code, type, parameters, expected: isExpected } = expected;
      return (
        same(error instanceof api.EventNotFoundException, true, "its class") ??
        same(
          [error.code, error.type, error.parameters, error.expected],
          [code, type, parameters, isExpected],
          "the exception",
        )
      );
    }
    default:
      return `there is no rule for the advice "${advice}"`;
  }
}

function classify(api, { input, expected }) {
  return input.names
    .map((name) => {
      const { is_success, is_redirect, is_error, error_type } = expected[name];
      if (name === "") return threw(() => new api.ResponseEvent({ name }), "ERR_INVALID_ARGUMENT");
      const response = new api.ResponseEvent({ name });
      const errorType = !is_error ? undefined : KNOWN.test(name) ? response.suffix : error_type;
      return same(
        [response.isSuccess, response.isRedirect, response.isError, response.errorType],
        [is_success, is_redirect, is_error, errorType],
        name,
      );
    })
    .find((problem) => problem !== undefined);
}

async function events(api, { id, input, expected }) {
  const { RequestEvent, EventBuilder } = api;
  const nested = model({ userName: text, address: model({ zipCode: int }), tags: optional(list, []) });
  const event = (init) => EventBuilder.event({ name: "a:b", id: "i", flowId: "f", ...init });
  switch (id) {
    case "ep-evt-json-text":
      return same(
        JSON.parse(event({ version: 1, payload: { snake_key: "ç" } }).toText()),
        JSON.parse(expected.text),
        "the event",
      );
    case "ep-evt-positional":
      return threw(() => new RequestEvent("a:b", 1), "ERR_INVALID_ARGUMENT");
    case "ep-evt-by-alias-false":
      return (
        threw(() => event({ by_alias: false }), "ERR_INVALID_ARGUMENT") ??
        threw(() => event({ flow_id: "f" }), "ERR_INVALID_ARGUMENT")
      );
    case "ep-evt-payload_as":
      return same(
        await event({ payload: { userName: "a", address: { zipCode: "3" } } }).payloadAs(nested),
        expected,
        "the payload",
      );
    case "ep-evt-payload_as-error": {
      const error = await event({ payload: input.payload })
        .payloadAs(nested)
        .catch((error) => error);
      return same(error.parameters?.fields, expected.fields, "the fields");
    }
    case "ep-evt-identity_as-broken":
    case "ep-evt-auth_as-broken": {
      const who = { userId: 7, zipCode: "3" };
      const zip = model({ zipCode: int });
      return (
        same(await event({ identity: who }).identityAs(zip), { zipCode: 3 }, "the identity") ??
        same(await event({ auth: who }).authAs(zip), { zipCode: 3 }, "auth")
      );
    }
    case "ep-evt-redirect-payload-import":
      return same(
        EventBuilder.redirectFor(event(), "https://e.x").payload,
        { url: "https://e.x", queryParameters: {} },
        "the payload",
      );
    case "ep-evt-from_event":
      return same(
        JSON.parse(JSON.stringify(EventBuilder.responseFor(event(), { x: 1 }))),
        expected.event,
        "the response",
      );
    default:
      return "there is no rule for this case";
  }
}

function builder({ EventBuilder, RequestEvent }, { id, input, expected }) {
  const event = new RequestEvent({ name: "a:b", version: 3, id: "i", flowId: "f", auth: { t: 1 } });
  const parameters = expected.event.payload.parameters;
  const made = {
    "ep-bld-response_for": () => EventBuilder.responseFor(event, { ok: true }),
    "ep-bld-response_for-payload-not-validated": () => EventBuilder.responseFor(event, input.payload),
    "ep-bld-error_for": () => EventBuilder.errorFor(event, "userDenied", "INVALID_EMAIL", parameters),
    "ep-bld-error_for-no-event": () =>
      EventBuilder.errorFor(undefined, "badProtocol", "INVALID_COMMUNICATION_PROTOCOL", parameters),
  }[id]?.();
  if (!made) return "there is no rule for this case";
  // Fresh ids where Python uses ids made at import, and never auth.
  const wanted = JSON.parse(JSON.stringify(expected.event).replace("{PROCESS_DEFAULT_FLOW}", "{UUID4}"));
  return same(withPlaceholders(JSON.parse(made.toText()), wanted), { ...wanted, auth: {} }, "the answer");
}

function exceptions(api, { expected }) {
  for (const [name, { code, type, parameters, expected: isExpected }] of Object.entries(expected)) {
    const given = "message" in parameters ? parameters.message : parameters;
    // The base class has no code, and demands one.
    const error = code === "" ? new api[name](given, { code: "CODE" }) : new api[name](given);
    const problem = same(
      [error.code, error.type, error.parameters, error.expected],
      [code || "CODE", type, parameters, isExpected],
      name,
    );
    if (problem) return problem;
  }
}

/** A handler that sends an event to its own server: its own context does not change. */
async function context(api, { input }) {
  const registry = new api.EventRegistry();
  const processor = new api.EventProcessor(registry);
  const client = new api.EventClient({ url: "http://127.0.0.1/events", fetch: processor.fetch });
  registry.register({ name: "inner:event", handle: (_event, _payload, { id, flowId }) => ({ id, flowId }) });
  registry.register({
    name: "outer:event",
    async handle(_event, _payload, context) {
      const own = await client.sendEvent({ name: "inner:event", parent: context });
      const other = await client.sendEvent({ name: "inner:event", parent: context, id: "inner" });
      return [own.payload, other.payload, { id: context.id, flowId: context.flowId }];
    },
  });
  const { id, flow_id: flowId } = input.outer;
  const { payload } = await client.sendEvent({ name: "outer:event", id, flowId });
  return same(
    payload,
    [
      { id, flowId },
      { id: "inner", flowId },
      { id, flowId },
    ],
    "the contexts",
  );
}

// ---------------------------------------------------------------- validation as in pydantic 1

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const issue = (errorType, message) => ({ issues: [{ errorType, message }] });

function text(value) {
  if (typeof value === "string") return { value };
  if (typeof value === "number") return { value: Number.isInteger(value) ? String(BigInt(value)) : String(value) };
  return issue("type_error.str", "str type expected");
}

function int(value) {
  const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
  return typeof number === "number"
    ? { value: Math.trunc(number) }
    : issue("type_error.integer", "value is not a valid integer");
}

function list(value) {
  return Array.isArray(value) ? { value } : issue("type_error.list", "value is not a valid list");
}

const optional = (kind, standard) => Object.assign((value) => kind(value), { standard });

/** A Standard Schema of an object. */
function model(fields) {
  const validate = (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return issue("type_error.dict", "value is not a valid dict");
    const [made, issues] = [{}, []];
    for (const [name, kind] of Object.entries(fields)) {
      if (value[name] === undefined && "standard" in kind) made[name] = kind.standard;
      else if (value[name] === undefined)
        issues.push({ errorType: "value_error.missing", message: "field required", path: [name] });
      else {
        const result = (kind["~standard"]?.validate ?? kind)(value[name]);
        if (result.issues) issues.push(...result.issues.map((one) => ({ ...one, path: [name, ...(one.path ?? [])] })));
        else made[name] = result.value;
      }
    }
    return issues.length > 0 ? { issues } : { value: made };
  };
  return { "~standard": { version: 1, vendor: "tests", validate } };
}

// ---------------------------------------------------------------- comparison

/** The object with `{UUID4}` in place of fresh UUIDs, where the expectation has one. */
function withPlaceholders(found, expected) {
  if (!found || !expected) return found;
  return Object.fromEntries(
    Object.entries(found).map(([name, value]) => [
      name,
      expected[name] === "{UUID4}" && UUID.test(value) ? "{UUID4}" : value,
    ]),
  );
}

function caught(body) {
  try {
    body();
  } catch (error) {
    return error;
  }
}

function threw(body, code) {
  const error = caught(body);
  return error?.code === code ? undefined : `did not throw ${code} but ${error?.code ?? "nothing"}`;
}

async function rejected(promise, code) {
  const error = await promise.then(
    () => undefined,
    (error) => error,
  );
  return error?.code === code ? undefined : `did not reject with ${code} but ${error?.code ?? "nothing"}`;
}

function same(found, expected, what) {
  return canonical(found) === canonical(expected)
    ? undefined
    : `${what} is ${canonical(found)}, not ${canonical(expected)}`;
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value === "object" && value !== null)
    return `{${Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
      .join()}}`;
  return String(JSON.stringify(value));
}
