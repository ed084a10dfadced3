// A flood of events, a tenth of them malformed in every way we know, and what has to come back for each.

/** Mulberry32. */
export function chances(seed) {
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
const ends = (number, name, code) => (answer) =>
  answer.name === name &&
  answer.id === `id-${number}` &&
  answer.flowId === `flow-${number}` &&
  answer.payload.code === code;

/** Each is a body for a number, and what its answer has to be. */
const MALFORMED = [
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
    name === "" ? ends(number, "eventNotFound", "NO_EVENT_HANDLER_FOUND") : property("name"),
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
    message("the text is nested too deep"),
  ],
  (number) => [encoder.encode(JSON.stringify(event(number))).with(10, 0xff), message("the text is not UTF-8")],
  () => [`"${"x".repeat(70_000)}"`, message("the text is longer than this server takes")],
  ...[null, [], [["example", "x"]], "abc", 7].map((payload) => (number) => [
    JSON.stringify(event(number, { payload })),
    ends(number, "flood:echo:badRequest", "MISSING_FIELDS"),
  ]),
  (number) => [
    JSON.stringify(event(number, { name: "flood:unknown" })),
    ends(number, "eventNotFound", "NO_EVENT_HANDLER_FOUND"),
  ],
  (number) => [
    JSON.stringify(event(number, { version: 70_000 })),
    ends(number, "eventNotFound", "NO_EVENT_HANDLER_FOUND"),
  ],
  (number) => [
    JSON.stringify(event(number, { name: "flood:throw" })),
    ends(number, "flood:throw:error", "UNHANDLED_ERROR"),
  ],
  (number) => [JSON.stringify(event(number, { name: "flood:deny" })), ends(number, "flood:deny:userDenied", "DENIED")],
];

/** One request of a flood: its body, and whether an answer is its own. */
export function request(number, chance) {
  if (chance() < 0.1) {
    const [body, isRight] = MALFORMED[Math.floor(chance() * MALFORMED.length)](number);
    return { isMalformed: true, body, isRight };
  }
  const sent = event(number);
  const isRight = ({ name, version, id, flowId, payload }) =>
    JSON.stringify([name, version, id, flowId, payload]) ===
    JSON.stringify(["flood:echo:response", 1, sent.id, sent.flowId, sent.payload]);
  return { isMalformed: false, body: JSON.stringify(sent), isRight };
}

/** A server for it. Handlers end in another order than they began in. */
export function floodProcessor({ EventException, EventProcessor, EventRegistry }) {
  const events = new EventRegistry();
  const rest = async (turns) => {
    for (; turns > 0; turns--) await undefined;
  };
  events.register({
    name: "flood:echo",
    schema: (payload) => typeof payload?.number === "number",
    async handle(event, payload, { id }) {
      await rest(payload.number % 13);
      if (id !== event.id) throw new Error("the context is another's");
      return payload;
    },
  });
  events.register({
    name: "flood:throw",
    handle: async ({ payload }) => {
      await rest(payload.number % 5);
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
 * Sends them, so many at once.
 *
 * @param send `(body) => Promise<text>`
 * @param onTenth called ten times on the way
 * @returns how many were malformed
 */
export async function flood({ count, lanes, send, seed = 1, onTenth = () => {} }) {
  const chance = chances(seed);
  let [next, malformed, done] = [0, 0, 0];
  const lane = async () => {
    while (next < count) {
      const number = next++;
      const { isMalformed, body, isRight } = request(number, chance);
      if (isMalformed) malformed++;
      const text = await send(body);
      if (text.includes("secret-")) throw new Error(`the answer to ${number} shows a token: ${text}`);
      if (!isRight(JSON.parse(text)))
        throw new Error(`${number}: ${String(body).slice(0, 200)} was answered with ${text.slice(0, 300)}`);
      if (++done % (count / 10) === 0) onTenth(done);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  if (done !== count) throw new Error(`${done} of ${count} were answered`);
  return malformed;
}
