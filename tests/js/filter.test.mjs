// Filters: the conformance tests of CESQL, the dialects of the Subscriptions API, functions of the user, and where filters
// are used. `tests/native/filters.rs` has the rules of the language.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { CloudEvent, EventBatch, Filter, isFerryError, webhook } from "eventferry/cloudevents";

const TCK = new URL("../../../shared/cases/cesql_tck/cesql_tck.json", import.meta.url);

const base = { specversion: "1.0", id: "1", source: "http://localhost/source", type: "my.type", time: null };
const event = (more = {}) => new CloudEvent({ ...base, ...more });

function conformanceTests() {
  try {
    return JSON.parse(readFileSync(TCK, "utf8")).suites.flatMap(({ tests }) => tests);
  } catch (error) {
    if (process.env.CI === "true") throw error;
    return undefined;
  }
}

function invalid(pattern) {
  return (error) => isFerryError(error, "ERR_INVALID_ARGUMENT") && pattern.test(error.message);
}

const tck = conformanceTests();
test("the conformance tests of CESQL pass, for an event and in a batch", {
  skip: !tck && "the tests are missing",
}, () => {
  const failed = [];
  for (const { expression, result, error, event: whole, eventOverrides } of tck) {
    if (error === "parse") {
      assert.throws(() => Filter.sql(expression), invalid(/position \d+: expected/), expression);
      continue;
    }
    const subject = event({ ...whole, ...eventOverrides });
    const filter = Filter.sql(expression);
    const { value, errors } = filter.evaluate(subject);
    if (value !== result || errors.join() !== (error ?? "")) {
      failed.push(expression);
      continue;
    }
    const isMatch = result === true && error === undefined;
    assert.equal(filter.matches(subject), isMatch, expression);
    assert.equal(EventBatch.parse(`[${subject}]`).filter(filter).length, +isMatch, expression);
  }
  // The text of the specification casts 10 to true (section 3.7).
  assert.deepEqual(failed, ["NOT 10"]);
  assert.equal(tck.length, 275);
});

test("UPPER and LOWER change the case of all letters that Unicode has, for an event and in a batch", () => {
  for (const text of ["Order", "Straße", "ΟΔΟΣ", "ﬁ İ", "ÀÉ 😀", "ǆ"]) {
    const subject = event({ text });
    for (const [name, changed] of [
      ["UPPER", text.toUpperCase()],
      ["LOWER", text.toLowerCase()],
    ]) {
      const filter = Filter.sql(`${name}(text) = '${changed}'`);
      assert.equal(Filter.sql(`${name}(text)`).evaluate(subject).value, changed);
      assert.ok(filter.matches(subject), changed);
      assert.equal(EventBatch.parse(`[${subject},${event({ text: "other" })}]`).filter(filter).length, 1, changed);
    }
  }
});

test("an expression that does not parse is rejected with its position and what was expected", () => {
  assert.throws(() => Filter.sql("type = "), invalid(/at position 7: expected an attribute, .*; found the end/));
  assert.throws(() => Filter.sql("'😀' ; 1"), invalid(/at position 5: .*; found "; 1"/));
  assert.throws(() => Filter.from({ any: [{ not: { sql: "x LIKE 1" } }] }), invalid(/position 7.*pattern/));
  assert.throws(() => Filter.sql(`${"(".repeat(50_000)}1`), invalid(/nested/));
  assert.throws(() => Filter.sql("a".repeat(70_000)), invalid(/65536/));
  assert.throws(() => Filter.sql("'\ud800'"), invalid(/surrogate/));
  assert.throws(() => Filter.sql(5), invalid(/expression must be a CESQL expression; received 5/));
  assert.throws(() => Filter.sql("1", { function: {} }), invalid(/did you mean "functions"/));
  assert.throws(() => new Filter("x"), invalid(/Filter\.from or Filter\.sql/));
});

test("a filter of the Subscriptions API is checked by its members", () => {
  for (const [filter, pattern] of [
    [undefined, /filter must be an object with exactly one of exact/],
    [{}, /filter must be an object with exactly one/],
    [{ exact: { type: "a" }, prefix: { type: "a" } }, /received "\{ exact, prefix \}"/],
    [{ regex: { type: "a" } }, /exactly one of/],
    [{ exact: {} }, /filter\.exact must be an object with at least one attribute/],
    [{ exact: { Type: "a" } }, /filter\.exact has "Type"/],
    [{ exact: { data: "a" } }, /filter\.exact has "data"/],
    [{ exact: { type: "" } }, /filter\.exact\.type must be a non-empty string/],
    [{ exact: { n: 5 } }, /filter\.exact\.n must be a non-empty string/],
    [{ all: [] }, /filter\.all must be an array with at least one filter/],
    [{ any: [{ exact: { type: "a" } }, { not: [] }] }, /filter\.any\[1\]\.not must be/],
    [[{ sql: 5 }], /filter\[0\]\.sql must be a CESQL expression/],
  ])
    assert.throws(() => Filter.from(filter), invalid(pattern), JSON.stringify(filter));
  const circle = { not: undefined };
  circle.not = circle;
  assert.throws(() => Filter.from(circle), invalid(/nested/));
});

test("dialects match, for an event and in a batch", () => {
  const subject = event({ subject: "Ölpreis", n: 5, yes: true });
  for (const [filter, expected] of [
    [{ exact: { type: "my.type", subject: "Ölpreis" } }, true],
    [{ exact: { type: "my.type", subject: "ölpreis" } }, false],
    [{ exact: { n: "5", yes: "true" } }, true],
    [{ prefix: { subject: "Öl" } }, true],
    [{ suffix: { subject: "preis", type: "x" } }, false],
    [{ all: [{ prefix: { type: "my" } }, { not: { exact: { missing: "a" } } }] }, true],
    [{ any: [{ exact: { id: "2" } }, { sql: "n > 4" }] }, true],
    [{ sql: "missing = 1 OR TRUE" }, false],
    [[], true],
    [[{ exact: { id: "1" } }, { sql: "FALSE" }], false],
  ]) {
    const compiled = Filter.from(filter);
    const label = JSON.stringify(filter);
    assert.equal(compiled.matches(subject), expected, label);
    // An expression has a value of its own.
    if (!filter.sql) assert.deepEqual(compiled.evaluate(subject), { value: expected, errors: [] }, label);
    for (const text of [`[${subject}]`, new TextEncoder().encode(`[${subject}]`)])
      assert.equal(EventBatch.parse(text).filter(compiled).length, +expected, label);
    // It comes back from its JSON.
    assert.deepEqual(JSON.parse(JSON.stringify(compiled)), filter);
    assert.equal(Filter.from(JSON.parse(JSON.stringify(compiled))).matches(subject), expected, label);
  }
  assert.throws(() => Filter.from({ sql: "TRUE" }).matches({ type: "a" }), invalid(/event must be a CloudEvent/));
});

test("functions of the user are called with the types and arities that they state", () => {
  const calls = [];
  const functions = {
    double: (x) => x * 2,
    hasprefix: { parameters: ["string", "string"], returns: "boolean", call: (text, start) => text.startsWith(start) },
    konkat: { rest: "string", returns: "string", call: (...texts) => texts.join("") },
    many: [(a) => `one ${a}`, (a, b) => `two ${a} ${b}`],
    fails: () => {
      throw new Error("no");
    },
    promises: { returns: "integer", call: () => Promise.reject(new Error("no")) },
    fraction: () => 1.5,
    note: (x) => {
      calls.push(x);
      return true;
    },
  };
  const run = (expression, more) => Filter.sql(expression, { functions }).evaluate(event(more));
  assert.deepEqual(run("DOUBLE(4) + double(n)", { n: 5 }), { value: 18, errors: [] });
  assert.deepEqual(run("HASPREFIX('abcdef', 'ab') AND HASPREFIX(12, '1')"), { value: true, errors: [] });
  assert.deepEqual(run("KONKAT('a', 1, TRUE)"), { value: "a1true", errors: [] });
  assert.deepEqual(run("KONKAT()"), { value: "", errors: [] });
  assert.deepEqual(run("CONCAT(many('é'), many(1, TRUE))"), { value: "one étwo 1 true", errors: [] });
  assert.deepEqual(run("many(1, 2, 3)"), { value: false, errors: ["missingFunction"] });
  assert.deepEqual(run("hasprefix('a')"), { value: false, errors: ["missingFunction"] });
  assert.deepEqual(run("fails()"), { value: false, errors: ["functionEvaluation"] });
  assert.deepEqual(run("promises() + 1"), { value: 1, errors: ["functionEvaluation"] });
  assert.deepEqual(run("fraction()"), { value: false, errors: ["functionEvaluation"] });
  assert.deepEqual(run("double(missing)"), { value: false, errors: ["missingAttribute"] });
  assert.deepEqual(run("FALSE AND note(1) OR note(2)").value, true);
  assert.deepEqual(calls, [2]);
  for (const [bad, pattern] of [
    [5, /functions must be an object/],
    [{ "a b": () => 1 }, /letters, digits and _/],
    [{ length: () => 1 }, /LENGTH is built in/],
    [{ a: () => 1, A: () => 1 }, /A is defined twice/],
    [{ a: 5 }, /functions\.a must be a function/],
    [{ a: [] }, /another number of arguments/],
    [{ a: [() => 1, () => 2] }, /another number of arguments/],
    [{ a: [{ rest: "any", call: () => 1 }, (_) => 2] }, /another number of arguments/],
    [{ a: { parameters: ["text"], call: () => 1 } }, /functions\.a\.parameters\[0\] must be "any"/],
    [{ a: { params: [], call: () => 1 } }, /did you mean|has no option/],
  ])
    assert.throws(() => Filter.sql("1", { functions: bad }), invalid(pattern), String(pattern));
});

const many = (count) =>
  Array.from({ length: count }, (_, n) =>
    event({ id: String(n), n, subject: n % 2 ? "日本" : "plain", data: { text: `é ${n} ]}"` } }),
  );

test("a function of the user may parse and filter batches while it filters one", () => {
  const text = `[${many(20).join(",")}]`;
  const inner = Filter.sql("n = 3");
  const functions = {
    enter(n) {
      // Other text takes the place of the batch in the memory of the engine.
      assert.equal(EventBatch.parse(`[${many(7).join(",")}]`).filter(inner).length, 1);
      return Filter.sql("TRUE").matches(event()) && n % 5 === 0;
    },
  };
  const batch = EventBatch.parse(text);
  const found = batch.filter(Filter.sql("enter(n)", { functions }));
  assert.deepEqual(
    Array.from(found, ({ id }) => id),
    ["0", "5", "10", "15"],
  );
  assert.equal(batch.filter(inner).at(0).id, "3");
});

test("a batch is filtered byte for byte, again and again, and whichever batch was parsed last", () => {
  const events = many(50);
  const separated = `[ ${events.join(" ,\n ")} ]`;
  const even = Filter.sql("n % 2 = 0");
  const few = Filter.from({ any: [{ exact: { n: "4" } }, { exact: { n: "7" } }, { suffix: { id: "40" } }] });
  const expected = events.filter((_, n) => n === 4 || n === 40).map(String);
  for (const [format, text] of [
    ["batch", separated],
    ["ndjson", `${events.join("\n")}\n`],
  ])
    for (const input of [text, new TextEncoder().encode(text)])
      for (const check of ["full", "structure"]) {
        const first = EventBatch.parse(input, { format, check });
        const other = EventBatch.parse("[]");
        assert.equal(other.filter(even).length, 0);
        const some = first.filter(even);
        EventBatch.parse(`[${event()}]`);
        const found = some.filter(few);
        assert.deepEqual(
          Array.from(found, ({ id }) => id),
          ["4", "40"],
        );
        assert.equal(new TextDecoder().decode(found.toBytes()), `[${expected.join(",")}]`);
        assert.equal(new TextDecoder().decode(found.toBytes("ndjson")), `${expected.join("\n")}\n`);
        assert.equal(
          found
            .filter((one) => one.id === "40")
            .filter(few)
            .at(0).id,
          "40",
        );
        assert.equal(first.filter(Filter.sql("TRUE")).length, 50);
      }
});

test("a changed event stays changed in a filtered batch", () => {
  const batch = EventBatch.parse(`[${many(3).join(",")}]`);
  batch.at(1).data.text = "changed";
  const found = batch.filter(Filter.sql("n > 0"));
  assert.match(new TextDecoder().decode(found.toBytes()), /"text":"changed"/);
  assert.equal(EventBatch.of(many(3)).filter(Filter.sql("n > 0")).length, 2);
});

test("structure trusts data and nothing else", () => {
  // Before the first filter was made, everything is checked.
  Filter.sql("TRUE");
  const wrong = '{"specversion":"1.0","id":"1","source":"/","type":"t","data":{"a":tru,"b":[1,]}}';
  assert.throws(
    () => EventBatch.parse(`[${wrong}]`),
    (error) => isFerryError(error, "ERR_INVALID_BATCH"),
  );
  assert.equal(EventBatch.parse(`[${wrong}]`, { check: "structure" }).length, 1);
  for (const bad of [
    '[{"specversion":"1.0","id":"1","source":"/","data":{}}]',
    '[{"data":{"a":"}]',
    '[{"a":[{]}',
    "[{",
  ])
    assert.throws(() => EventBatch.parse(bad, { check: "structure" }), isFerryError, bad);
  assert.throws(() => EventBatch.parse("[]", { check: "none" }), invalid(/check must be "full" or "structure"/));
});

test("a web hook hands only the events on that its filter matches", async () => {
  const seen = [];
  const handler = webhook({
    allowedOrigins: "*",
    filter: Filter.sql("type = 'wanted'"),
    onEvent: ({ id }) => void seen.push(id),
  });
  const post = (body, type) =>
    handler(new Request("https://hook.example/", { method: "POST", body, headers: { "content-type": type } }));
  const wanted = event({ id: "w", type: "wanted" });
  const batch = await post(`[${event({ id: "x" })},${wanted}]`, "application/cloudevents-batch+json");
  assert.equal(batch.status, 204);
  assert.equal((await post(String(event({ id: "y" })), "application/cloudevents+json")).status, 204);
  assert.deepEqual(seen, ["w"]);
  assert.throws(() => webhook({ allowedOrigins: "*", onEvent() {}, filter: "x" }), invalid(/filter must be a Filter/));
});
