// Topics: reading them, the messages for wrong ones, and validating data.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { BriteEventsClient } from "eventferry/bc-events";
import { clientTo, server, thrown, topics } from "./bc-events-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const withTopics = (topics, more = {}) => new BriteEventsClient({ serviceName: "MyService", topics, ...more });
const constructorError = (topics, more) => {
  const error = thrown(() => withTopics(topics, more));
  assert.equal(error.code, "ERR_INVALID_ARGUMENT", error.stack);
  return error.message;
};
const topic = (more = {}) => ({ Action: "Created", Entity: "Test", Schema: { type: "object" }, ...more });
const oneTopic = (more) => ({ DefaultCategory: "testing", Topics: [topic(more)] });
/** The error of publishing data with this schema; undefined if it is valid. */
function publishError(Schema, data) {
  const session = withTopics(oneTopic({ Schema })).userSession("USER_ID");
  try {
    session.createdTest(data);
    return undefined;
  } catch (error) {
    return error;
  }
}

test("YAML is read as version 1.2, with anchors and merge keys, and tags are ignored", () => {
  const client = withTopics(`
DefaultCategory: testing
Base: &base
  Action: On
  Schema: &schema {type: object, required: [id]}
Topics:
  - <<: *base
    Entity: Test
    Description: !Sub "of a deployment template"
  - {Action: Created, Entity: Other, Category: claims, Schema: *schema}
`);
  assert.deepEqual(client.topics.map(String), ["testing.TestOn", "claims.OtherCreated"]);
  assert.match(thrown(() => client.userSession("USER_ID").testOn({ no: 1 })).message, /needs the member "id"/);
});

test("invalid YAML is refused with line and column", () => {
  assert.match(
    constructorError("Topics:\n  - Action: [Created\n    Entity: x: y\n"),
    /^topics must be valid YAML: .* at line \d+, column \d+/,
  );
  assert.match(
    constructorError("DefaultCategory: a\nDefaultCategory: b\nTopics: []\n"),
    /^topics must be valid YAML: Map keys must be unique at line 2, column 1$/,
  );
  assert.match(constructorError("a: &a [x]\nb: *nowhere\nTopics: []"), /nowhere/);
  assert.match(constructorError("config/topics.yml"), /to load a file, read it first/);
  assert.match(
    constructorError(""),
    /^topics must be an object with the member Topics, or its YAML text; received null$/,
  );
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${["b", "c", "d", "e", "f", "g"].map((name, at) => `${name}: &${name} [${Array(10).fill(`*${"abcdef"[at]}`)}]`).join("\n")}\nTopics: []`;
  assert.match(constructorError(bomb), /Excessive alias count/);
});

test("one error names every mistake in the topics", () => {
  assert.equal(
    constructorError({
      Topics: [
        topic(),
        { Entity: "x" },
        topic({ Category: "a", Action: true }),
        "no",
        topic({ Category: "a" }),
        topic({ Category: "a" }),
        topic({ Category: "a", Entity: "Y", Schema: null }),
      ],
    }),
    "Topics[0] needs the member Category, because there is no DefaultCategory; Topics[1] needs the member Action; Topics[1] needs the member Schema; " +
      'Topics[2].Action must be a non-empty string; received true; Topics[3] must be an object; received "no"; Topics[5] repeats the topic a.TestCreated of Topics[4]; ' +
      "Topics[6].Schema must be a JSON Schema, an object; received null",
  );
  for (const nothing of [undefined, null, 7, [], new Uint8Array(1)])
    assert.match(
      constructorError(nothing),
      /^topics must be an object with the member Topics|^topics needs the member Topics/,
    );
});

test("two topics with the same joined name are two topics", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo(
    { fetch },
    {
      topics: {
        DefaultCategory: "a",
        Topics: [topic({ Entity: "My", Action: "EntityCreated" }), topic({ Entity: "MyEntity" })],
      },
    },
  );
  client
    .userSession("USER_ID", undefined, { publishImmediately: true })
    .publish({ action: "Created", entity: "MyEntity", data: { a: 1 } });
  await client.outbox.drain();
  assert.deepEqual([requests[0].body.entity, requests[0].body.action], ["MyEntity", "Created"]);
  await client.close();
});

test("the default category of the options overrides that of the topics", () => {
  assert.deepEqual(withTopics(oneTopic(), { defaultCategory: "claims" }).topics.map(String), ["claims.TestCreated"]);
  assert.match(
    constructorError(oneTopic(), { defaultCategory: 5 }),
    /defaultCategory must be a non-empty string; received 5/,
  );
});

test("an unknown topic is refused with the nearest names", () => {
  const session = clientTo().userSession("USER_ID");
  assert.equal(
    thrown(() => session.publish({ action: "Creatd", entity: "Test", data: { a: 1 } })).message,
    "Topic not found: testing.TestCreatd; the nearest are testing.TestCreated, testing.TestDeleted, testing.MyEntityCreated",
  );
  assert.equal(session.staged, 0);
  assert.equal(
    thrown(() => withTopics({ DefaultCategory: "a", Topics: [] }).getTopic("a", "Test", "Created")).message,
    "Topic not found: a.TestCreated; there are no topics",
  );
});

test("invalid topic names are refused when an event is published, and all of them by checkTopics", () => {
  for (const [more, attribute] of [
    [{ Action: "WasCreated" }, "action"],
    [{ Action: "Created\n" }, "action"],
    [{ Entity: "test" }, "entity"],
    [{ Entity: "PolicyURL" }, "entity"],
    [{ Category: "my-cat" }, "category"],
  ]) {
    const client = withTopics(oneTopic(more));
    const { Action = "Created", Entity = "Test", Category } = more;
    const error = thrown(() =>
      client.userSession("USER_ID").publish({ action: Action, entity: Entity, category: Category, data: { a: 1 } }),
    );
    assert.deepEqual([error.code, error.culprit, error.attribute], ["ERR_INVALID_DATA", "caller", attribute]);
    assert.match(error.message, new RegExp(`${attribute} breaks the rule pattern: it must be `));
    assert.match(thrown(() => client.checkTopics()).message, /breaks the rule pattern/);
  }
  const error = thrown(() =>
    withTopics({
      DefaultCategory: "a",
      Topics: [
        topic({ Schema: { type: "strin" } }),
        topic({ Entity: "X" }),
        topic({ Entity: "Created", Action: "Updated" }),
        topic({ Entity: "Updated", Action: "Created" }),
      ],
    }).checkTopics(),
  );
  assert.equal(
    error.message,
    "a.TestCreated: the schema must be one of array, boolean, integer, null, number, object, string, or a list of them (at #/type); " +
      'a.XCreated: entity breaks the rule pattern: it must be capitalized words of two or more letters each, such as PolicyHolder; received "X"; ' +
      "updatedCreated may mean a.UpdatedCreated or a.CreatedUpdated; use publish, or the snake_case name, whose last word is the action; " +
      "createdUpdated may mean a.CreatedUpdated or a.UpdatedCreated; use publish, or the snake_case name, whose last word is the action",
  );
  clientTo().checkTopics();
});

test("an invalid schema is refused with the location of the mistake", () => {
  for (const [schema, pattern] of [
    [{ type: "strin" }, /at #\/type/],
    [{ type: [] }, /at #\/type/],
    [{ required: true }, /must be a list of strings \(at #\/required\)/],
    [
      { properties: { n: { exclusiveMinimum: 5 } } },
      /must be true or false in Draft 4.*at #\/properties\/n\/exclusiveMinimum/,
    ],
    [{ properties: { n: { exclusiveMinimum: true } } }, /needs minimum beside it/],
    [{ properties: { "a/b~c": 5 } }, /at #\/properties\/a~1b~0c/],
    [{ properties: [] }, /must be an object of schemas/],
    [{ allOf: {} }, /must be a list of schemas/],
    [{ enum: [] }, /at #\/enum/],
    [{ minProperties: -1 }, /must be an integer of at least 0/],
    [{ multipleOf: 0 }, /must be a number above 0/],
    [{ properties: { a: { pattern: "(" } } }, /must be a regular expression/],
    [{ $schema: "http://json-schema.org/draft-03/schema#" }, /Draft 3 is not supported/],
    [{ $schema: 4 }, /must name its draft/],
    [{ properties: { a: { $ref: "#/definitions/b" } } }, /Unresolved \$ref "#\/definitions\/b"/],
    [{ $ref: "#" }, /refers to itself without end/],
    [{ definitions: { a: { id: "x:a" }, b: { id: "x:a", type: "string" } } }, /cannot be used/],
  ]) {
    const error = publishError(schema, { a: 1 });
    assert.equal(error?.code, "ERR_INVALID_ARGUMENT", `${JSON.stringify(schema)}: ${error}`);
    assert.match(error.message, pattern);
    assert.match(error.message, /^testing\.TestCreated: the schema /);
  }
});

test("errors name the topic, the path and the rule", () => {
  const schema = {
    type: "object",
    required: ["id"],
    additionalProperties: false,
    properties: {
      id: { type: "string", minLength: 2 },
      lines: { type: "array", items: { $ref: "#/definitions/line" } },
      either: { anyOf: [{ type: "string" }, { type: "null" }] },
      kind: { enum: ["a", "b"] },
    },
    definitions: { line: { type: "object", properties: { "unit price": { type: "number", minimum: 0 } } } },
  };
  for (const [data, path, sentence] of [
    [{ lines: [] }, "data", 'data breaks the rule required at #/required: it needs the member "id"'],
    [{ id: 5 }, "data.id", "data.id breaks the rule type at #/properties/id/type: it must be string, not number"],
    [
      { id: "é" },
      "data.id",
      "data.id breaks the rule minLength at #/properties/id/minLength: it is invalid: String is too short (1 < 2)",
    ],
    [
      { id: "ab", extra: 1 },
      "data.extra",
      "data.extra breaks the rule additionalProperties at #/additionalProperties: it must not be present",
    ],
    [
      { id: "ab", lines: [{}, { "unit price": -1 }] },
      'data.lines[1]["unit price"]',
      'data.lines[1]["unit price"] breaks the rule minimum at #/properties/lines/items/$ref/properties/unit%20price/minimum: it is invalid: -1 is less than 0',
    ],
    [
      { id: "ab", either: 7 },
      "data.either",
      "data.either breaks the rule anyOf at #/properties/either/anyOf: it is invalid: Instance does not match any subschemas",
    ],
    [
      { id: "ab", kind: "c" },
      "data.kind",
      'data.kind breaks the rule enum at #/properties/kind/enum: it is invalid: Instance does not match any of ["a","b"]',
    ],
  ]) {
    const error = publishError(schema, data);
    assert.deepEqual(
      [error?.code, error?.culprit, error?.attribute, error?.message],
      ["ERR_INVALID_DATA", "caller", path, `testing.TestCreated: ${sentence}`],
    );
  }
  assert.equal(publishError(schema, { id: "ab", lines: [{ "unit price": 1 }], either: null, kind: "a" }), undefined);
  const many = publishError({ required: ["a", "b", "c", "d", "e"] }, { z: 1 });
  assert.match(many.message, /"a"; .*"b"; .*"c"; and more$/);
  // No item matches any of its alternatives.
  const long = publishError(
    { properties: { l: { items: { anyOf: [{ type: "string" }, { type: "null" }] } } } },
    { l: Array(20_000).fill(1) },
  );
  assert.deepEqual([long.attribute, long.message.length < 500], ["data.l[0]", true]);
});

test("a schema is of Draft 4 unless $schema names another, and formats are not checked", () => {
  const ofDraft = (draft) => ({ $schema: draft });
  const seven = ofDraft("http://json-schema.org/draft-07/schema#");
  for (const [schema, data, isGood] of [
    [{ properties: { k: { const: "other" } } }, { k: "v" }, true],
    [{ ...seven, properties: { k: { const: "other" } } }, { k: "v" }, false],
    [
      { ...ofDraft("http://json-schema.org/draft-06/schema#"), properties: { k: { const: "other" } } },
      { k: "v" },
      false,
    ],
    [{ ...ofDraft("https://example.com/unknown"), properties: { k: { const: "other" } } }, { k: "v" }, true],
    [{ if: true, then: false }, { k: "v" }, true],
    [{ ...seven, if: true, then: false }, { k: "v" }, false],
    [{ properties: { n: { minimum: 5, exclusiveMinimum: true } } }, { n: 5 }, false],
    [{ ...seven, properties: { n: { exclusiveMinimum: 5 } } }, { n: 5 }, false],
    [{ ...seven, dependentRequired: { a: ["b"] } }, { a: 1 }, true],
    [{ ...ofDraft("https://json-schema.org/draft/2019-09/schema"), dependentRequired: { a: ["b"] } }, { a: 1 }, false],
    [
      {
        ...ofDraft("https://json-schema.org/draft/2020-12/schema"),
        properties: { l: { prefixItems: [{ type: "string" }] } },
      },
      { l: [1] },
      false,
    ],
    [{ dependencies: { a: ["b"] } }, { a: 1 }, false],
    [{ dependencies: { a: { required: ["b"] } } }, { a: 1 }, false],
    [{ properties: { id: { type: "string", format: "uuid" } } }, { id: "no uuid" }, true],
    [{ properties: { format: { type: "string" }, const: { type: "number" } } }, { format: 7 }, false],
    [{ properties: { const: { type: "number" } } }, { const: "x" }, false],
    [{ patternProperties: { "^x\\-": { type: "string" } } }, { "x-a": 1 }, false],
    [{ properties: { p: { pattern: "\\A[a-z\\_]+\\Z" } } }, { p: "a_b" }, true],
    [{ properties: { p: { pattern: "^(?P<day>\\d+)$" } } }, { p: "12\n" }, false],
    [{ properties: { n: { type: "integer" } } }, { n: true }, false],
    [{ properties: { a: { $ref: "#/$defs/name" } }, $defs: { name: { type: "string" } } }, { a: 1 }, false],
    [{ type: "object", properties: { me: { $ref: "#" } }, required: ["id"] }, { id: 1, me: { id: 2, me: {} } }, false],
    [{ properties: JSON.parse('{"__proto__":{"type":"string"}}') }, JSON.parse('{"__proto__":7}'), false],
    [{ required: ["toString"] }, { a: 1 }, false],
  ]) {
    const error = publishError(schema, data);
    assert.equal(
      error?.code,
      isGood ? undefined : "ERR_INVALID_DATA",
      `${JSON.stringify(schema)} ${JSON.stringify(data)}: ${error}`,
    );
  }
});

test("definitions are not changed, and may be frozen", () => {
  const freeze = (value) =>
    typeof value === "object" && value !== null
      ? Object.freeze(
          Object.fromEntries(
            Object.entries(value).map(([key, inner]) => [
              key,
              Array.isArray(inner) ? Object.freeze(inner.map(freeze)) : freeze(inner),
            ]),
          ),
        )
      : value;
  const frozen = freeze(topics);
  const before = JSON.stringify(frozen);
  const session = clientTo(server(201), { topics: frozen }).userSession("USER_ID");
  session.deletedTest({ id: "a", name: "b" });
  assert.equal(JSON.stringify(frozen), before);
  assert.deepEqual(Object.getOwnPropertyNames(frozen.Topics[1].Schema), ["type", "required", "properties"]);
});

test("topics come from a file, by its path or its URL, and the error names a file that cannot be read", async () => {
  const { fileTopics } = await import("eventferry/node");
  const folder = mkdtempSync(join(tmpdir(), "topics-"));
  const path = join(folder, "topics.yaml");
  try {
    writeFileSync(
      path,
      "\uFEFFDefaultCategory: shop\nTopics:\n  - { Action: Created, Entity: Order, Schema: { type: object } }\n",
    );
    for (const given of [path, pathToFileURL(path)]) {
      const client = withTopics(fileTopics(given));
      assert.deepEqual(client.topics.map(String), ["shop.OrderCreated"]);
      await client.close();
    }
    assert.throws(
      () => fileTopics(join(folder, "none.yaml")),
      (error) => {
        assert.deepEqual([error.code, error.cause.code], ["ERR_INVALID_ARGUMENT", "ENOENT"]);
        assert.match(error.message, /none\.yaml.* cannot be read: ENOENT/);
        return true;
      },
    );
    for (const wrong of [undefined, "", 7]) assert.throws(() => fileTopics(wrong), { code: "ERR_INVALID_ARGUMENT" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
