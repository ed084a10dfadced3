// What a store tells of damage reaches the application, also where the store belongs to no outbox.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FerryError, PipelineDataSink, replayStore } from "eventferry";
import { consumed, emulatedPipeline, sinkOf } from "./glassflow-fixtures.mjs";
import { storeWith } from "./outbox-fixtures.mjs";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const PROBLEM = new FerryError("ERR_STORE", "file: a row cannot be read and is left out");
/** A store that tells of a problem when it is opened, and later. */
const damagedStore = () => {
  const store = storeWith({
    open: (inner, name, onProblem) => {
      store.tell = () => onProblem(PROBLEM);
      store.tell();
      return inner.open(name);
    },
  });
  return store;
};
const warnings = [];
console.warn = (text) => warnings.push(text);

/** Uses the store of a `replayStore`, and that of a sink, with these options. */
const USERS = {
  replayStore: (store, options) => replayStore(store, options).get("/event/A__e"),
  async events(store, options) {
    const { emulator, source } = emulatedPipeline();
    await source.publishAll([1]);
    const sink = sinkOf(emulator, { baseUrl: "http://emulator/glassflow/v1" });
    for await (const event of sink.events({ store, ...options })) {
      await event.ack();
      break;
    }
  },
};

for (const [name, use] of Object.entries(USERS)) {
  test(`${name} tells of damaged rows, then and later`, async () => {
    const problems = [];
    const store = damagedStore();
    await use(store, { onProblem: (error) => problems.push(error) });
    store.tell();
    await sleep(1);
    assert.deepEqual(problems, [PROBLEM, PROBLEM]);
    assert.deepEqual(warnings.splice(0), []);
  });

  test(`without a listener ${name} shows the first problem in the console`, async () => {
    const store = damagedStore();
    await use(store, {});
    store.tell();
    await sleep(1);
    assert.equal(warnings.length, 1);
    assert.match(warnings.splice(0)[0], /a row cannot be read.*onProblem/);
  });

  test(`a listener of ${name} that throws does not stop the store`, async () => {
    const uncaught = [];
    const listeners = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", (error) => uncaught.push(error));
    const thrown = new Error("mine");
    await use(damagedStore(), {
      onProblem: () => {
        throw thrown;
      },
    });
    await sleep(1);
    process.removeAllListeners("unhandledRejection");
    for (const listener of listeners) process.on("unhandledRejection", listener);
    assert.deepEqual(uncaught, [thrown]);
  });
}

test("onProblem must be a function", () => {
  assert.throws(() => replayStore(storeWith(), { onProblem: "log" }), {
    code: "ERR_INVALID_ARGUMENT",
    message: /^onProblem must be a function/,
  });
  const sink = new PipelineDataSink({ pipelineId: "p", pipelineAccessToken: "t", fetch: consumed });
  assert.throws(() => sink.events({ onProblem: 5 }), { code: "ERR_INVALID_ARGUMENT" });
});
