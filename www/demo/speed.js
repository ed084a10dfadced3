// How long a batch takes from bytes to bytes in this browser: eventferry, `JSON.parse`, and npm `cloudevents`.
import { EventBatch } from "eventferry/cloudevents";

const ROUNDS = 7;
const ROUND_MS = 30;
/** Between two rounds, for all else that the page does. */
const PAUSE_MS = 30;
const HEADERS = { "content-type": "application/cloudevents-batch+json" };
const SDK = "modules/cloudevents/bundles/cloudevents.js";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** npm `cloudevents`: its own bundle for browsers, loaded when it is needed. Undefined where it is not installed. */
function loadSdk() {
  if (globalThis.cloudevents) return globalThis.cloudevents;
  return new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = SDK;
    script.onload = () => resolve(globalThis.cloudevents);
    script.onerror = () => resolve(undefined);
    document.head.append(script);
  });
}

/**
 * Measures in rounds in which all take turns.
 *
 * @param batch at least one event
 * @returns the number and the size of the events, and for each contender the median in milliseconds and how many times as
 * long as eventferry it takes, or why it cannot be measured
 */
export async function measure(batch, filter) {
  const bytes = batch.toBytes("batch");
  // The filter of the others costs them next to nothing: they are told which events match.
  const isKept = Array.from(batch, (event) => filter.matches(event));
  const expected = isKept.filter(Boolean).length;
  const sdk = await loadSdk();
  const contenders = [
    { id: "eventferry", run: () => EventBatch.parse(bytes).filter(filter).toBytes() },
    {
      id: "plain",
      run: () => encoder.encode(JSON.stringify(JSON.parse(decoder.decode(bytes)).filter((_, at) => isKept[at]))),
    },
    {
      id: "sdk",
      problem: sdk ? undefined : "not installed",
      run() {
        const events = sdk.HTTP.toEvent({ headers: HEADERS, body: decoder.decode(bytes) });
        return encoder.encode(JSON.stringify(events.filter((_, at) => isKept[at])));
      },
    },
  ];
  for (const contender of contenders) if (!contender.problem) contender.problem = check(contender, expected);
  const running = contenders.filter(({ problem }) => !problem);
  for (const contender of running) contender.rounds = [];
  for (let round = 0; round <= ROUNDS; round++) {
    for (const contender of running) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      const ms = roundOf(contender.run);
      // The first one warms up.
      if (round > 0) contender.rounds.push(ms);
    }
  }
  const [own] = contenders;
  const results = contenders.map(({ id, problem, rounds }) =>
    problem ? { id, problem } : { id, ms: median(rounds), times: median(rounds) / median(own.rounds) },
  );
  return { events: batch.length, kilobytes: Math.round(bytes.length / 1000), results };
}

/** Who does not keep the same events is not measured. */
function check({ run }, expected) {
  try {
    const count = JSON.parse(decoder.decode(run())).length;
    return count === expected ? undefined : `keeps ${count} events`;
  } catch (error) {
    return `fails: ${error.message}`;
  }
}

/** The time of one call. It is called as often as a clock of low resolution needs. */
function roundOf(run) {
  const start = performance.now();
  let calls = 0;
  let took = 0;
  do {
    run();
    calls++;
    took = performance.now() - start;
  } while (took < ROUND_MS);
  return took / calls;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
