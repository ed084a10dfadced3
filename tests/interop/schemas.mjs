// Payload schemas of zod, valibot and arktype in a server of the events protocol: validation, and the inferred types.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type } from "arktype";
import ts from "typescript";
import * as v from "valibot";
import { z } from "zod";
import { EventBuilder, EventProcessor, EventRegistry } from "../../dist/entries/events-protocol.js";
import { Tally } from "../tally.mjs";

const LIBRARIES = {
  zod: {
    schema: z.object({ user: z.object({ id: z.number(), email: z.email() }), tags: z.array(z.string()).default([]) }),
    asyncSchema: z
      .object({ user: z.object({ id: z.number() }) })
      .refine(async ({ user }) => user.id > 0, "id must be above 0"),
  },
  valibot: {
    schema: v.object({
      user: v.object({ id: v.number(), email: v.pipe(v.string(), v.email()) }),
      tags: v.optional(v.array(v.string()), []),
    }),
    asyncSchema: v.pipeAsync(
      v.object({ user: v.object({ id: v.number() }) }),
      v.checkAsync(async ({ user }) => user.id > 0, "id must be above 0"),
    ),
  },
  arktype: {
    schema: type({ user: { id: "number", email: "string.email" }, tags: type("string[]").default(() => []) }),
  },
};

const tally = new Tally();
for (const [library, { schema, asyncSchema }] of Object.entries(LIBRARIES)) {
  const events = new EventRegistry().register({ name: "put:user", schema, handle: (_event, payload) => payload });
  if (asyncSchema) events.register({ name: "put:async", schema: asyncSchema, handle: () => ({}) });
  const processor = new EventProcessor(events);
  const send = async (name, payload) => JSON.parse(await processor.process(EventBuilder.event({ name, payload })));

  await tally.check(`${library}: a valid payload, with the defaults of the schema`, async () => {
    const user = { id: 7, email: "a@example.com" };
    assert.deepEqual(await send("put:user", { user }).then(({ name, payload }) => [name, payload]), [
      "put:user:response",
      { user, tags: [] },
    ]);
  });
  await tally.check(`${library}: every invalid field, with its path`, async () => {
    const { name, payload } = await send("put:user", { user: { email: "no" }, tags: ["a", 7] });
    assert.deepEqual([name, payload.code], ["put:user:badRequest", "MISSING_FIELDS"]);
    const found = Object.fromEntries(payload.parameters.fields.map(({ name, ...rest }) => [name, rest]));
    assert.deepEqual(Object.keys(found).sort(), ["tags.1", "user.email", "user.id"]);
    assert.deepEqual(
      [found["user.id"].errorType, found["user.id"].pointer, found["tags.1"].pointer],
      ["value_error.missing", "/user/id", "/tags/1"],
    );
    for (const { message, errorType } of Object.values(found)) assert.ok(message.length > 3 && errorType.length > 3);
  });
  await tally.check(`${library}: payloads that are not objects`, async () => {
    for (const payload of [null, [], "text", 7])
      assert.equal((await send("put:user", payload)).name, "put:user:badRequest");
  });
  if (!asyncSchema) continue;
  await tally.check(`${library}: an async schema`, async () => {
    assert.equal((await send("put:async", { user: { id: 7 } })).name, "put:async:response");
    const { payload } = await send("put:async", { user: { id: -7 } });
    assert.deepEqual(
      payload.parameters.fields.map(({ name, message }) => [name, message]),
      [["", "id must be above 0"]],
    );
  });
}

await tally.check("TypeScript infers the payload of a handler from its schema", () => {
  const file = fileURLToPath(new URL("schemas.types.mts", import.meta.url));
  writeFileSync(
    file,
    `
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { EventRegistry } from "eventferry/events-protocol";
const events = new EventRegistry();
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <A, B>(same: Same<A, B>): void => void same;
events.register({ name: "a:b", schema: z.object({ id: z.number() }), handle: (event, payload) => is<typeof payload, { id: number }>(true) });
events.register({ name: "a:b", schema: z.string().transform(Number), handle: (event, payload) => is<typeof payload, number>(true) });
events.register({ name: "a:b", schema: v.object({ id: v.number() }), handle: (event, payload) => is<typeof payload, { id: number }>(true) });
events.register({ name: "a:b", schema: type({ id: "number" }), handle: (event, payload) => is<typeof payload, { id: number }>(true) });
events.register({ name: "a:b", schema: async (payload: { id: string }) => Number(payload.id), handle: (event, payload) => is<typeof payload, number>(true) });
events.register({ name: "a:b", schema: (payload) => payload.id > 0, handle: (event, payload) => void payload.anything });
events.register({ name: "a:b", handle: (event, payload, { signal }) => [payload.anything, signal.aborted, event.auth["token"]] });
// @ts-expect-error no such member
events.register({ name: "a:b", schema: z.object({ id: z.number() }), handle: (event, payload) => payload.other });
// @ts-expect-error not a schema
events.register({ name: "a:b", schema: { id: "number" }, handle: () => ({}) });
`,
  );
  try {
    const options = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipLibCheck: true,
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
      types: [],
      paths: {
        "eventferry/events-protocol": [
          fileURLToPath(new URL("../../dist/entries/events-protocol.d.ts", import.meta.url)),
        ],
      },
    };
    const problems = ts
      .getPreEmitDiagnostics(ts.createProgram([file], options))
      .map(
        ({ messageText, file, start }) =>
          `${file?.fileName.split("/").at(-1)}:${file && file.getLineAndCharacterOfPosition(start).line + 1} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
      );
    assert.deepEqual(problems, []);
  } finally {
    rmSync(file);
  }
});
tally.finish();
