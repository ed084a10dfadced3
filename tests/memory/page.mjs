// Reads and filters a stream of NDJSON in a page. `begin(bytes)` starts, and each call of `next()` reads a part of it.
import { filterAll, linesOf, watchMemories } from "../js/ndjson-stream.mjs";

/** How much `next` reads. */
const PART_BYTES = 20e6;

globalThis.wasmBytes = watchMemories();
const library = await import("/dist/entries/cloudevents.js");

let allowed = 0;
let resume = () => {};
let pause = () => {};
let totals = {};

globalThis.begin = async (bytes) => {
  // The code has run once.
  await filterAll(library, linesOf(1e6), () => undefined);
  const untilAllowed = (soFar) => {
    totals = { ...soFar };
    if (soFar.bytes < allowed) return undefined;
    pause({ ...totals, isDone: false });
    return new Promise((resolve) => {
      resume = resolve;
    });
  };
  const start = new Promise((resolve) => {
    resume = resolve;
  });
  start
    .then(() => filterAll(library, linesOf(bytes), untilAllowed))
    .then((all) => pause({ ...all, isDone: true }))
    .catch((error) => pause(Promise.reject(error)));
};

globalThis.next = () =>
  new Promise((resolve) => {
    pause = resolve;
    allowed = (totals.bytes ?? 0) + PART_BYTES;
    resume();
  });
globalThis.isReady();
