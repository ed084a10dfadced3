// The cases of the events protocol in workerd, and what a Worker has to bear: a flood over HTTP, and handlers that never end.
import { fileURLToPath } from "node:url";
import { Tally } from "../tally.mjs";
import { countLine, readCases } from "../vectors.mjs";
import { startWorker } from "../workerd.mjs";
import { flood } from "./events-protocol-flood.mjs";

const cases = readCases("events_protocol_cases");
const FLOOD = 10_000;

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

  await check(`a flood of ${FLOOD} over HTTP, a tenth of them malformed`, async () => {
    const malformed = await flood({
      count: FLOOD,
      lanes: 16,
      send: async (body) => (await post("flood", body)).text(),
    });
    return `${malformed} malformed, each answered with its own`;
  });

  await check("handlers that never end are answered in time, side by side", async () => {
    const ask = async (number) =>
      (
        await post(
          "impatient",
          JSON.stringify({ name: "never:ends", version: 1, id: `i${number}`, flowId: "f", payload: {} }),
        )
      ).json();
    const answers = await Promise.all(Array.from({ length: 20 }, (_, number) => ask(number)));
    const wrong = answers.find(
      ({ name, id, payload }, number) =>
        name !== "never:ends:error" || id !== `i${number}` || payload.code !== "EVENT_TIMEOUT",
    );
    if (wrong) throw new Error(JSON.stringify(wrong));
  });

  await check("a handler has what the runtime gives", async () => {
    const { payload } = await (
      await post("impatient", JSON.stringify({ name: "get:context", version: 1, id: "i", flowId: "f", payload: {} }))
    ).json();
    if (JSON.stringify(payload) !== '{"env":"object","waitUntil":"function","path":"/impatient"}')
      throw new Error(JSON.stringify(payload));
  });

  await check("the runtime had nothing to complain of", () => {
    const problem = worker.output().find((line) => /error|hang|different request/i.test(line));
    if (problem) throw new Error(problem);
  });
  await worker.close();
}
tally.finish();
