// Runs the CloudEvents cases against the public API. The API and the cases are parameters and the results are plain
// objects, so that browsers run it as well as Node.

import { onlyKnown, onlyOneOf } from "./known-keys.mjs";

/** @returns {{ id: string, level: string, kind: string, problem?: string, note?: string }[]} */
export function runCases(api, cases) {
  return cases.map((testCase) => {
    const { id, level, kind } = testCase;
    let note;
    let problem = unknownKey(testCase);
    if (problem !== undefined) return { id, level, kind, problem };
    problem = attempt(api, testCase, testCase.expect);
    if (problem !== undefined && testCase.alt_expect) {
      const withAlternative = attempt(api, testCase, testCase.alt_expect);
      if (withAlternative === undefined) [problem, note] = [undefined, "passes with alt_expect"];
    }
    return { id, level, kind, ...(problem !== undefined && { problem }), ...(note && { note }) };
  });
}

/** The levels are only for the report: cases of all levels must pass. */
const LEVELS = ["must", "should", "policy"];
/**
 * Keys for documentation: the section of a rule, what other implementations do, what a strict mode would do (this package
 * has none), and that the data as a value may lose precision (this runner compares the bytes).
 */
const DOCUMENTATION = ["normative_in", "why", "source", "peers", "strict_expect", "value_view_ok"];

/** The keys of input and expectation that each kind reads. */
const KEYS = {
  "decode-binary": { input: ["headers", "body"], expect: ["event", "error"] },
  "decode-structured": { input: ["headers", "body"], expect: ["event", "error"] },
  "decode-batch": { input: ["headers", "body"], expect: ["events", "error"] },
  reject: { input: ["headers", "body"], expect: ["error"] },
  encode: { input: ["mode", "event"], expect: ["headers", "absent_headers", "content_type_essence", "body", "error"] },
  roundtrip: { input: ["headers", "body", "via"], expect: ["event", "binary", "error"] },
  convert: { input: ["event", "to"], expect: ["event", "structured_json", "error"] },
};
/** `or_json` allows another representation of bytes, which this package does not use: it must return the bytes. */
const DATA = ["absent", "json", "text", "base64", "or_json"];

/** The message about a key or value of the case that the runner does not know, if there is one. */
function unknownKey(testCase) {
  const { id, kind, level, input, expect, alt_expect: alternative, time_compare: timeCompare } = testCase;
  const event = (one, place) => {
    onlyKnown(one, ["attributes", "data", "absent_attributes"], place, id);
    onlyKnown(one?.data, DATA, `${place}.data`, id);
  };
  const message = (one, place) => {
    onlyKnown(one?.body, ["utf8", "base64", "json"], `${place}.body`, id);
  };
  try {
    onlyKnown(
      testCase,
      ["id", "kind", "level", "input", "expect", "alt_expect", "time_compare", ...DOCUMENTATION],
      "the case",
      id,
    );
    onlyOneOf(kind, Object.keys(KINDS), "kind", id);
    onlyOneOf(level, LEVELS, "level", id);
    onlyOneOf(timeCompare, [undefined, "text", "instant-ns"], "time_compare", id);
    onlyKnown(input, KEYS[kind].input, "input", id);
    onlyKnown(input.body, ["utf8", "base64"], "input.body", id);
    if (kind === "encode") onlyOneOf(input.mode, ["binary", "structured", "batch"], "mode", id);
    for (const mode of input.via ?? []) onlyOneOf(mode, ["binary", "structured"], "mode", id);
    for (const one of [input.event ?? []].flat()) event(one, "input.event");
    for (const [place, one] of Object.entries({ expect, alt_expect: alternative ?? {} })) {
      onlyKnown(one, KEYS[kind].expect, place, id);
      onlyKnown(one.error, ["code", "attribute"], `${place}.error`, id);
      for (const expected of [one.event ?? [], one.events ?? []].flat()) event(expected, `${place}.event`);
      message(one, place);
      onlyKnown(one.binary, ["headers", "absent_headers", "body"], `${place}.binary`, id);
      message(one.binary, `${place}.binary`);
    }
    if (Object.keys(expect).length === 0) return `the case ${id} expects nothing`;
  } catch (error) {
    return error.message;
  }
}

function attempt(api, testCase, expect) {
  try {
    const perform = KINDS[testCase.kind];
    if (!expect.error) return perform(api, testCase, expect);
    try {
      perform(api, testCase, {});
    } catch (error) {
      const code = `ERR_${expect.error.code.toUpperCase().replaceAll("-", "_")}`;
      if (!api.isFerryError(error)) return `threw another error: ${error?.stack}`;
      if (error.code !== code) return `threw ${error.code} (${error.message}), not ${code}`;
      if (expect.error.attribute !== undefined && error.attribute !== expect.error.attribute) {
        return `named ${error.attribute}, not ${expect.error.attribute}`;
      }
      return undefined;
    }
    return `accepted an event that must be rejected with ${expect.error.code}`;
  } catch (error) {
    return `threw ${error?.code ?? ""} ${error?.message ?? error}`;
  }
}

const KINDS = {
  "decode-binary": decodeOne,
  "decode-structured": decodeOne,
  "decode-batch": (api, { input }, expect) => {
    const batch = api.batchFromHttp(input.headers, bytesOf(input.body));
    if (batch.length !== expect.events.length) return `read ${batch.length} events`;
    return expect.events.map((event, at) => compareEvent(batch.at(at), event)).find((problem) => problem !== undefined);
  },
  reject: (api, { input }) => {
    const mode = api.contentMode(input.headers);
    if (mode === "batch") api.batchFromHttp(input.headers, bytesOf(input.body));
    else api.fromHttp(input.headers, bytesOf(input.body));
  },
  encode: (api, { input }, expect) => {
    const message =
      input.mode === "batch"
        ? api.toBatch(input.event.map((event) => build(api, event)))
        : api[input.mode === "binary" ? "toBinary" : "toStructured"](build(api, input.event));
    return compareMessage(message, expect);
  },
  roundtrip: (api, { input, time_compare }, expect) => {
    let event = api.fromHttp(input.headers, bytesOf(input.body));
    for (const mode of input.via) {
      const message = api[mode === "binary" ? "toBinary" : "toStructured"](event);
      const problem = mode === "binary" && expect.binary ? compareMessage(message, expect.binary) : undefined;
      if (problem) return problem;
      event = api.fromHttp(message.headers, message.body);
    }
    return expect.event && compareEvent(event, expect.event, time_compare);
  },
  convert: (api, { input }, expect) => {
    const event = build(api, input.event).toVersion(input.to);
    const problem = expect.event && compareEvent(event, expect.event);
    if (problem) return problem;
    return (
      expect.structured_json &&
      same(JSON.parse(textOf(api.toStructured(event).body)), expect.structured_json, "structured")
    );
  },
};

function decodeOne(api, { input, time_compare }, expect) {
  const event = api.fromHttp(input.headers, bytesOf(input.body));
  return expect.event && compareEvent(event, expect.event, time_compare);
}

/** Creates the event of a case as a user would. */
function build(api, { attributes, data = { absent: true } }) {
  const init = { time: null, ...attributes };
  if ("base64" in data) init.data = base64(data.base64);
  else if ("text" in data) init.data = data.text;
  else if ("json" in data) init.data = data.json;
  if ("data" in attributes) {
    // A case about an attribute with the name `data`, which only a header can have.
    return api.fromHttp(
      { ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, String(value)])) },
      "",
    );
  }
  return new api.CloudEvent(init);
}

function compareEvent(event, expected, timeCompare) {
  for (const [name, value] of Object.entries(expected.attributes)) {
    const found = event.get(name);
    if (name === "time" && timeCompare !== "text") {
      if (instant(found) !== instant(value)) return `time is ${found}, not ${value}`;
    } else {
      const problem = same(found, value, name);
      if (problem) return problem;
    }
  }
  const core = ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "schemaurl"];
  for (const name of [...core.filter((name) => event.get(name) !== undefined), ...Object.keys(event.extensions)]) {
    if (!(name in expected.attributes)) return `has the attribute ${name}, which was not sent: ${event.get(name)}`;
  }
  for (const name of expected.absent_attributes ?? []) {
    if (event.get(name) !== undefined) return `${name} is ${event.get(name)}, not absent`;
  }
  const { data = { absent: true } } = expected;
  if (data.absent)
    return event.data === undefined && event.dataBytes === undefined ? undefined : `has data: ${event.data}`;
  if ("json" in data) return same(event.data, data.json, "data");
  if ("text" in data && (event.data !== data.text || event.dataText !== data.text))
    return `data is ${JSON.stringify(event.data)}, not the text ${JSON.stringify(data.text)}`;
  if ("base64" in data) return same(Array.from(event.dataBytes ?? []), Array.from(base64(data.base64)), "dataBytes");
}

function compareMessage({ headers, body }, expect) {
  const found = {};
  for (const [name, value] of Object.entries(headers)) found[name.toLowerCase()] = value;
  for (const [name, value] of Object.entries(expect.headers ?? {})) {
    // Names of charsets have no case.
    const isSame = name === "content-type" ? found[name]?.toLowerCase() === value.toLowerCase() : found[name] === value;
    if (!isSame) return `header ${name} is ${found[name]}, not ${value}`;
  }
  const extra =
    expect.headers && Object.keys(found).filter((name) => name.startsWith("ce-") && !(name in expect.headers));
  if (extra?.length && expect.headers["ce-id"]) return `has unexpected headers: ${extra}`;
  const essence = found["content-type"]?.split(";")[0].trim().toLowerCase();
  if (expect.content_type_essence !== undefined && essence !== expect.content_type_essence)
    return `content-type is ${essence}, not ${expect.content_type_essence}`;
  for (const name of expect.absent_headers ?? []) if (name in found) return `has the header ${name}: ${found[name]}`;
  if (expect.body?.utf8 !== undefined) return same(textOf(body), expect.body.utf8, "body");
  if (expect.body?.base64 !== undefined)
    return same(Array.from(bodyBytes(body)), Array.from(base64(expect.body.base64)), "body");
  if (expect.body && "json" in expect.body) return same(JSON.parse(textOf(body)), expect.body.json, "body");
}

/** An RFC 3339 timestamp as seconds and nanoseconds, independent of its offset. */
function instant(text) {
  const [, day, clock, fraction = "", zone] = /^(\S{10})t(\S{8})(?:\.(\d+))?(z|[+-]\d\d:\d\d)$/i.exec(text) ?? [];
  return `${Date.parse(`${day}T${clock}${zone?.toUpperCase()}`)}.${fraction.padEnd(9, "0").slice(0, 9)}`;
}

function same(found, expected, what) {
  return canonical(found) === canonical(expected)
    ? undefined
    : `${what} is ${canonical(found)}, not ${canonical(expected)}`;
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
      .join()}}`;
  }
  return String(JSON.stringify(value));
}

const bytesOf = (body) =>
  body === undefined ? undefined : "utf8" in body ? new TextEncoder().encode(body.utf8) : base64(body.base64);
const bodyBytes = (body) => (typeof body === "string" ? new TextEncoder().encode(body) : (body ?? new Uint8Array(0)));
const textOf = (body) => (typeof body === "string" ? body : new TextDecoder().decode(body));
const base64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
