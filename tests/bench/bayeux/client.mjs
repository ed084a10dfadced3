// Runs one client in a process of its own until it has received all events. The last line of the output is the result as JSON.
import { EVENTS, Script } from "./answers.mjs";
import { READERS } from "./readers.mjs";

const { module, reading, url, warmup, polls } = JSON.parse(process.argv[2]);
const begin = warmup * EVENTS;
const end = begin + polls * EVENTS;
const read = READERS[reading];
let count = 0;
let sum = 0;
let cpuBefore;
let start;

function onEvent(...event) {
  if (count === begin) {
    sum = 0;
    cpuBefore = process.cpuUsage();
    start = performance.now();
  }
  sum += read(...event);
  if (++count === end) finish();
}

function finish() {
  const wall = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const peak = process.resourceUsage().maxRSS / 1024;
  console.log(JSON.stringify({ cpu: (user + system) / 1e6, wall, peak, sum }));
  process.exit();
}

/** A fetch that answers with the scripted server, without a network. */
function inMemory() {
  const script = new Script();
  const headers = { "content-type": "application/json;charset=UTF-8" };
  const decoder = new TextDecoder();
  return async (input, init) => {
    const requestBody = init?.body ?? (await input.text());
    const answer = script.answer(typeof requestBody === "string" ? requestBody : decoder.decode(requestBody));
    // A stream, because a buffer would be copied first.
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(answer.buffer, answer.byteOffset, answer.length));
        controller.close();
      },
    });
    return new Response(body, { headers });
  };
}

let client;
try {
  client = await import(`./clients/${module}.mjs`);
} catch (error) {
  console.log(JSON.stringify({ problem: error.message }));
  process.exit();
}
await client.open({ url: url ?? "http://server.example", fetch: url ? globalThis.fetch : inMemory(), onEvent });
