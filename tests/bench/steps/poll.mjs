// The steps of a poll: from a response with a thousand events of 1 KB to the listener that has read all of their data.
import { BayeuxClient } from "../../../dist/entries/bayeux.js";
import { fetchWhole } from "../../../dist/platform/fetch.js";
import { answerTo, CHANNEL, dataTexts, EVENTS, responseOf } from "./answers.mjs";
import { rowsOf } from "./time.mjs";

const BUDGETS = { full: { rounds: 31, warmup: 20 }, quick: { rounds: 3, warmup: 3 } };
const MAX_BYTES = 2 ** 24;
const now = () => performance.now();

/** @param url answers with such a response over loopback */
export async function pollSteps(quick, url) {
  const { rounds, warmup } = quick ? BUDGETS.quick : BUDGETS.full;
  const bytes = answerTo({ channel: "/meta/connect", successful: true });
  const text = new TextDecoder().decode(bytes);
  const target = new Uint8Array(bytes.length);
  const readWhole = fetchWhole(undefined, MAX_BYTES, () => new Error("too large"));
  const timed = async (work) => {
    const start = now();
    await work();
    return now() - start;
  };
  const timedWith = async (make, work) => {
    const made = make();
    return timed(() => work(made));
  };
  const client = await startClient();
  const measurements = [
    ["all of it, without the network", () => client.poll()],
    ["fetch of eventferry over loopback", () => timed(() => readWhole(url, {}))],
    ["fetch and arrayBuffer over loopback", () => timed(async () => (await fetch(url)).arrayBuffer())],
    [
      "arrayBuffer of the response",
      () =>
        timedWith(
          () => responseOf(bytes),
          (response) => response.arrayBuffer(),
        ),
    ],
    ["copy of the bytes", () => timed(() => target.set(bytes))],
    ["TextDecoder", () => timed(() => new TextDecoder().decode(bytes))],
    ["JSON.parse of the data of each event", () => timed(() => dataTexts.forEach((data) => JSON.parse(data)))],
    ["JSON.parse of the text", () => timed(() => JSON.parse(text))],
  ];
  const times = new Map(measurements.map(([name]) => [name, []]));
  const parts = { toListener: [], inListener: [] };
  for (let round = -warmup; round < rounds; round++) {
    for (const [name, measure] of round % 2 ? [...measurements].reverse() : measurements) {
      const took = await measure();
      if (round < 0) continue;
      times.get(name).push(took);
      if (measure === measurements[0][1]) {
        parts.toListener.push(client.toListenerMs);
        parts.inListener.push(took - client.toListenerMs);
      }
    }
  }
  client.close();
  const ours = ["all of it, without the network", "fetch of eventferry over loopback"];
  const steps = [
    { name: ours[0], times: times.get(ours[0]) },
    { name: "read the body, copy it into the module, scan it, make the text", times: parts.toListener },
    { name: "1,000 calls of a listener that reads all of the data", times: parts.inListener },
    { name: ours[1], times: times.get(ours[1]) },
    ...measurements
      .filter(([name]) => !ours.includes(name))
      .map(([name]) => ({ name, isLimit: true, times: times.get(name) })),
  ].map((step) => ({ ...step, times: step.times.map((ms) => ms * 1e6) }));
  return { title: "a poll that brings 1,000 events of 1 KB", total: ours[0], rows: rowsOf(steps) };
}

/** A client whose polls are answered when `poll` is called. `poll` resolves with the milliseconds to the last event. */
async function startClient() {
  let answer;
  let askedFor;
  let start;
  let sum = 0;
  let left = 0;
  let finish;
  const isAsked = () => new Promise((resolve) => (answer ? resolve() : (askedFor = resolve)));
  const fetch = async (_url, { body }) => {
    const [{ channel, id, subscription, advice }] = JSON.parse(
      typeof body === "string" ? body : new TextDecoder().decode(body),
    );
    const reply = { channel, id, clientId: "c", successful: true, subscription };
    if (channel === "/meta/handshake")
      Object.assign(reply, { version: "1.0", supportedConnectionTypes: ["long-polling"] });
    if (channel !== "/meta/connect" || advice?.timeout === 0) return new Response(JSON.stringify([reply]));
    return new Promise((resolve) => {
      answer = () => {
        answer = undefined;
        const response = responseOf(answerTo(reply));
        start = now();
        resolve(response);
      };
      askedFor?.();
      askedFor = undefined;
    });
  };
  const client = new BayeuxClient("https://server.example/cometd", { fetch });
  await client.open();
  const state = {
    toListenerMs: 0,
    async poll() {
      await isAsked();
      left = EVENTS;
      const finished = new Promise((resolve) => {
        finish = resolve;
      });
      answer();
      return finished;
    },
    close: () => void client.close(),
  };
  await client.subscribe(CHANNEL, ({ data }) => {
    if (left === EVENTS) state.toListenerMs = now() - start;
    sum += data.amount;
    if (--left === 0) finish(now() - start);
    if (!Number.isFinite(sum)) throw new Error("an event has no amount");
  });
  return state;
}
