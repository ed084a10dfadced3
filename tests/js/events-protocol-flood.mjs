// Many concurrent events, a tenth of them invalid in many ways, with a check of the response to each.

/** A seeded random source (Mulberry32). */
export function seededRandom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const encoder = new TextEncoder();
const event = (number, members) => ({
  name: "flood:echo",
  version: 1,
  id: `id-${number}`,
  flowId: `flow-${number}`,
  payload: { number, text: "ü€😀".repeat(number % 7) },
  identity: { userId: number },
  auth: { token: `secret-${number}` },
  metadata: {},
  ...members,
});

const badProtocol = (parameters) => (answer) =>
  answer.name === "badProtocol" &&
  answer.version === 1 &&
  answer.payload.code === "INVALID_COMMUNICATION_PROTOCOL" &&
  JSON.stringify(answer.payload.parameters) === JSON.stringify(parameters);
const property = (propertyName) => badProtocol({ propertyName });
const message = (message) => badProtocol({ message });
const isErrorOf = (number, name, code) => (answer) =>
  answer.name === name &&
  answer.id === `id-${number}` &&
  answer.flowId === `flow-${number}` &&
  answer.payload.code === code;

/** Each function returns the body for a number, and the check of its response. */
const INVALID = [
  ...["name", "version", "id", "flowId"].flatMap((member) =>
    [undefined, null, {}, [], true].map((value) => (number) => [
      JSON.stringify(event(number, { [member]: value })),
      property(member),
    ]),
  ),
  ...["identity", "auth", "metadata"].flatMap((member) =>
    ["abc", 7, [], false].map((value) => (number) => [
      JSON.stringify(event(number, { [member]: value })),
      property(member),
    ]),
  ),
  ...["v1", "1", 1.5, 2 ** 31, 1e300].map((version) => (number) => [
    JSON.stringify(event(number, { version })),
    property("version"),
  ]),
  ...[7, ""].map((name) => (number) => [
    JSON.stringify(event(number, { name })),
    name === "" ? isErrorOf(number, "eventNotFound", "NO_EVENT_HANDLER_FOUND") : property("name"),
  ]),
  (number) => [JSON.stringify(event(number, { payload: undefined })), property("payload")],
  ...["", " ", "not json", "{", "{}x", "nul", '{"a":1,}', "\u0000"].map((body) => () => [
    body,
    message("the text is not JSON"),
  ]),
  ...["null", "[]", "7", '"text"', "true"].map((body) => () => [body, message("the text is not a JSON object")]),
  () => ["{}", property("name")],
  (number) => [JSON.stringify(event(number)).slice(0, 40 + (number % 60)), message("the text is not JSON")],
  (number) => [`${JSON.stringify(event(number))}{}`, message("the text is not JSON")],
  (number) => [
    JSON.stringify(event(number)).replace('"number":', '"n":NaN,"number":'),
    message("the text is not JSON"),
  ],
  (number) => [
    JSON.stringify(event(number)).replace('"metadata":{}', `"metadata":${'{"a":'.repeat(600)}1${"}".repeat(600)}`),
    message("the text is nested too deeply"),
  ],
  (number) => [encoder.encode(JSON.stringify(event(number))).with(10, 0xff), message("the text is not UTF-8")],
  () => [`"${"x".repeat(70_000)}"`, message("the text is longer than this server allows")],
  ...[null, [], [["example", "x"]], "abc", 7].map((payload) => (number) => [
    JSON.stringify(event(number, { payload })),
    isErrorOf(number, "flood:echo:badRequest", "MISSING_FIELDS"),
  ]),
  (number) => [
    JSON.stringify(event(number, { name: "flood:unknown" })),
    isErrorOf(number, "eventNotFound", "NO_EVENT_HANDLER_FOUND"),
  ],
  (number) => [
    JSON.stringify(event(number, { version: 70_000 })),
    isErrorOf(number, "eventNotFound", "NO_EVENT_HANDLER_FOUND"),
  ],
  (number) => [
    JSON.stringify(event(number, { name: "flood:throw" })),
    isErrorOf(number, "flood:throw:error", "UNHANDLED_ERROR"),
  ],
  (number) => [
    JSON.stringify(event(number, { name: "flood:deny" })),
    isErrorOf(number, "flood:deny:userDenied", "DENIED"),
  ],
];

/** One request: its body, and the check of its response. */
export function makeRequest(number, random) {
  if (random() < 0.1) {
    const [body, isRight] = INVALID[Math.floor(random() * INVALID.length)](number);
    return { isInvalid: true, body, isRight };
  }
  const sent = event(number);
  const isRight = ({ name, version, id, flowId, payload }) =>
    JSON.stringify([name, version, id, flowId, payload]) ===
    JSON.stringify(["flood:echo:response", 1, sent.id, sent.flowId, sent.payload]);
  return { isInvalid: false, body: JSON.stringify(sent), isRight };
}

/** A server for it. Handlers finish in a different order than they start. */
export function floodProcessor({ EventException, EventProcessor, EventRegistry }) {
  const events = new EventRegistry();
  const microtasks = async (turns) => {
    for (; turns > 0; turns--) await undefined;
  };
  events.register({
    name: "flood:echo",
    schema: (payload) => typeof payload?.number === "number",
    async handle(event, payload, { id }) {
      await microtasks(payload.number % 13);
      if (id !== event.id) throw new Error("the context belongs to another event");
      return payload;
    },
  });
  events.register({
    name: "flood:throw",
    handle: async ({ payload }) => {
      await microtasks(payload.number % 5);
      throw new Error(`secret-${payload.number}`);
    },
  });
  events.register({
    name: "flood:deny",
    handle: ({ payload }) => {
      throw new EventException({ number: payload.number }, { code: "DENIED", type: "userDenied" });
    },
  });
  return new EventProcessor(events, { maxBytes: 65_536, maxInFlight: 10_000 });
}

/**
 * Sends the events with the given concurrency.
 *
 * @param send `(body) => Promise<text>`
 * @param onTenth called after each tenth of the events
 * @returns how many events were invalid
 */
export async function flood({ count, concurrency, send, seed = 1, onTenth = () => {} }) {
  const random = seededRandom(seed);
  let [next, invalid, done] = [0, 0, 0];
  const worker = async () => {
    while (next < count) {
      const number = next++;
      const { isInvalid, body, isRight } = makeRequest(number, random);
      if (isInvalid) invalid++;
      const text = await send(body);
      if (text.includes("secret-")) throw new Error(`the response to ${number} shows a token: ${text}`);
      if (!isRight(JSON.parse(text)))
        throw new Error(`${number}: ${String(body).slice(0, 200)} was answered with ${text.slice(0, 300)}`);
      if (++done % (count / 10) === 0) onTenth(done);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  if (done !== count) throw new Error(`${done} of ${count} were answered`);
  return invalid;
}
