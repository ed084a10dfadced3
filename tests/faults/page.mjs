// A page with an outbox, for the tests of browsers. What it was asked for stands in the URL; it says what it sees with notes to the collector.
import { CloudEvent, Publisher, indexedDbStore } from "/dist/entries/index.js";

const asked = Object.fromEntries(new URL(location).searchParams);
const note = (text) => fetch("/note", { method: "POST", body: text });
globalThis.problems = [];
addEventListener("unhandledrejection", ({ reason }) => problems.push(`unhandled: ${reason?.stack ?? reason}`));

/** Storage that is not there, refuses, or does not answer. */
const BLOCKED = {
  missing: { get: () => undefined },
  refused: {
    get: () => {
      throw new DOMException("on purpose", "SecurityError");
    },
  },
  silent: { value: { open: () => new EventTarget() } },
};
for (const [place, how] of [
  ["indexedDB", asked.indexedDB],
  ["localStorage", asked.localStorage],
]) {
  if (how) Object.defineProperty(globalThis, place, BLOCKED[how]);
}
addEventListener("error", ({ message }) => problems.push(`uncaught: ${message}`));

const publisher = new Publisher({
  url: new URL(asked.url ?? "/collect", location),
  ...(asked.mode && { mode: asked.mode }),
  timeoutMs: Number(asked.timeoutMs ?? 10_000),
  outbox: {
    store: asked.store ?? (asked.isAuto ? "auto" : indexedDbStore()),
    ...(asked.unload && { unload: asked.unload }),
    retry: { baseMs: Number(asked.baseMs ?? 100), ...(asked.maxMs && { maxMs: Number(asked.maxMs) }) },
    ...(asked.maxEvents && { batch: { maxEvents: Number(asked.maxEvents) } }),
  },
});
const { outbox } = publisher;
globalThis.degraded = [];
outbox.addEventListener("degraded", ({ detail }) => degraded.push(`${detail.error.code} ${detail.error.message}`));
globalThis.retries = 0;
outbox.addEventListener("retry", () => retries++);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const event = (id, bytes = 20) => new CloudEvent({ id, type: "t", source: "/page", data: "x".repeat(bytes) });

/** Publishes on and on, and notes what was accepted. */
async function stream(name) {
  for (let turn = 0; ; turn++) {
    const session = publisher.session();
    const receipts = Array.from({ length: 10 }, (_, at) => session.publish(event(`${name}.${turn}.${at}`)));
    void Promise.all(receipts.map(({ accepted }) => accepted)).then(() => note(receipts.map(({ id }) => id).join()));
    await session.flush();
    await wait(Math.random() * 10);
  }
}

/** Publishes so many, and gives the ids. */
function publish(name, count, bytes, session = publisher.session()) {
  // Sessions that nobody holds any more may be collected.
  globalThis.held = session;
  return Array.from({ length: count }, (_, at) => session.publish(event(`${name}.${at}`, bytes)).id);
}

/** Nothing can be stored for a while; `name` is the error. Gives the ids, and what became of them. */
async function full(name) {
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function () {
    // That is how a transaction ends that has been aborted by the browser.
    if (name === "AbortError") this.transaction.abort();
    throw new DOMException("on purpose", name);
  };
  const session = publisher.session();
  const ids = publish(`${name}.during`, 50, 20, session);
  const during = await session.flush({ deadlineMs: 5000 });
  const told = degraded.length;
  IDBObjectStore.prototype.put = put;
  ids.push(...publish(`${name}.after`, 50, 20, session));
  const after = await session.flush({ deadlineMs: 10_000 });
  return { ids, during: during.aborted, told, after: after.aborted };
}

/** Publishes 2,000 events in 20 s, and waits for their delivery, for some time by itself. The second call waits for the end of the first. */
let ending;
const outage = () => (ending ??= endure());
async function endure() {
  const session = publisher.session();
  const ids = [];
  for (const start = performance.now(); ids.length < 2000; await wait(50)) {
    const count = Math.min(2000, Math.floor((performance.now() - start) / 10));
    ids.push(...publish(`outage.${ids.length}`, count - ids.length, 20, session));
    await session.flush();
  }
  for (let tries = 0; tries < 200 && outbox.stats().pending > 0; tries++) await wait(100);
  const left = outbox.stats().pending;
  await outbox.drain({ deadlineMs: 10_000 });
  return { ids, left, failures: retries, problems };
}

/** The page is hidden thirty times, with events under way of two outboxes. */
async function hiddenOften() {
  const [refused, ids] = [[], []];
  let kept = 0;
  const before = globalThis.fetch;
  globalThis.fetch = (request, init) => {
    if (init?.keepalive) kept++;
    const answer = before(request, init);
    answer.catch((error) => refused.push(String(error)));
    return answer;
  };
  Object.defineProperty(document, "visibilityState", { get: () => "hidden", configurable: true });
  const other = new Publisher({ url: new URL("/collect", location), outbox: { name: "other" } });
  const [session, another] = [publisher.session(), other.session()];
  for (let round = 0; round < 30; round++) {
    ids.push(...publish(`often.${round}`, 60, 300, session), ...publish(`others.${round}`, 20, 300, another));
    void session.flush();
    if (round % 2) void another.flush();
    document.dispatchEvent(new Event("visibilitychange"));
    await wait(Math.random() * 100);
  }
  await outbox.drain({ deadlineMs: 20_000 });
  await other.outbox.drain({ deadlineMs: 20_000 });
  return { ids, refused, kept, count: retries };
}

// Ten tabs are asked all at once, and each answers with a note.
new BroadcastChannel("test").onmessage = async ({ data: { what, round } }) => {
  const tab = asked.tab;
  if (what === "publish") {
    const receipts = [];
    for (let turn = 0; turn < 10; turn++) {
      const session = publisher.session();
      for (let at = 0; at < 10; at++) receipts.push(session.publish(event(`${round}.${tab}.${turn}.${at}`)));
      await session.flush();
      note(JSON.stringify({ what: "accepted", ids: receipts.slice(-10).map(({ id }) => id) }));
    }
    const ends = await Promise.allSettled(receipts.map(({ delivered }) => delivered));
    note(
      JSON.stringify({
        what: "delivered",
        round,
        tab,
        count: ends.filter(({ status }) => status === "fulfilled").length,
      }),
    );
  } else {
    note(JSON.stringify({ what, round, tab, stats: outbox.stats(), problems }));
  }
};
globalThis.tell = (what, round) => new BroadcastChannel("test").postMessage({ what, round });

Object.assign(globalThis, { outbox, stream, publish, wait, hiddenOften, full, outage });
while (outbox.stats().store === undefined) await wait(10);
globalThis.isReady = true;
