// The events protocol in workerd: the cases, many concurrent events over HTTP, and handlers that never finish.
import { fileURLToPath } from "node:url";
import { Tally } from "../tally.mjs";
import { countLine, readCases } from "../vectors.mjs";
import { startWorker } from "../workerd.mjs";
import { flood } from "./events-protocol-flood.mjs";

const cases = readCases("events_protocol_cases");
const EVENT_COUNT = 10_000;

const tally = new Tally();
let worker;
await tally.check("a Worker with an EventProcessor starts", async () => {
  worker = await startWorker(fileURLToPath(new URL("events-protocol-worker.mjs", import.meta.url)));
});
if (worker) {
  const post = async (path, body) => {
    const response = await fetch(new URL(path, worker.url), {
      method: "POST",
      body,
      signal: AbortSignal.timeout(60_000),
    }).catch((error) => {
      throw new Error(`${error.message}: ${error.cause?.message ?? ""}`);
    });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    return response;
  };
  const check = (name, body) => tally.check(`workerd: ${name}`, body);

  let results = [];
  await check("the cases of the events protocol run", async () => {
    results = await (await post("cases", JSON.stringify(cases))).json();
    if (results.length !== cases.length)
      throw new Error(`there were ${results.length} results for ${cases.length} cases`);
    return `${results.length} cases`;
  });
  for (const { id, problem } of results) if (problem !== undefined) tally.fail(`workerd: ${id}`, problem);
  const passed = results.filter(({ problem }) => problem === undefined).length;
  if (passed > 0) console.log(countLine("events-protocol in workerd", passed));
  tally.add({ passed });

  await check(`${EVENT_COUNT} events over HTTP, a tenth of them invalid`, async () => {
    const invalid = await flood({
      count: EVENT_COUNT,
      concurrency: 16,
      send: async (body) => (await post("flood", body)).text(),
    });
    return `${invalid} invalid, each with its own response`;
  });

  await check("handlers that never finish are answered in time, concurrently", async () => {
    const send = async (number) =>
      (
        await post(
          "short-timeout",
          JSON.stringify({ name: "never:ends", version: 1, id: `i${number}`, flowId: "f", payload: {} }),
        )
      ).json();
    const answers = await Promise.all(Array.from({ length: 20 }, (_, number) => send(number)));
    const wrong = answers.find(
      ({ name, id, payload }, number) =>
        name !== "never:ends:error" || id !== `i${number}` || payload.code !== "EVENT_TIMEOUT",
    );
    if (wrong) throw new Error(JSON.stringify(wrong));
  });

  await check("a handler receives env, ctx and request", async () => {
    const { payload } = await (
      await post(
        "short-timeout",
        JSON.stringify({ name: "get:context", version: 1, id: "i", flowId: "f", payload: {} }),
      )
    ).json();
    if (JSON.stringify(payload) !== '{"env":"object","waitUntil":"function","path":"/short-timeout"}')
      throw new Error(JSON.stringify(payload));
  });

  await check("the runtime logged no error", () => {
    const problem = worker.output().find((line) => /error|hang|different request/i.test(line));
    if (problem) throw new Error(problem);
  });
  await worker.close();
}
tally.finish();
