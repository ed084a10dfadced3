// A page with an outbox, for the browser checks. Its options are in the URL; it reports to the collector with notes.
import { CloudEvent, indexedDbStore, Publisher } from "/dist/entries/index.js";
import { lockTimes } from "/dist/platform/lock-candidate.js";
import { takePart } from "./leaders-page.mjs";

const options = Object.fromEntries(new URL(location).searchParams);
const note = (text) => fetch("/note", { method: "POST", body: text });
globalThis.problems = [];
addEventListener("unhandledrejection", ({ reason }) => problems.push(`unhandled: ${reason?.stack ?? reason}`));

/** Storage that is missing, refuses access, or does not answer. */
const BLOCKED = {
  missing: { get: () => undefined },
  refused: {
    get: () => {
      throw new DOMException("thrown by the test", "SecurityError");
    },
  },
  silent: { value: { open: () => new EventTarget() } },
};
for (const [place, how] of [
  ["indexedDB", options.indexedDB],
  ["localStorage", options.localStorage],
]) {
  if (how) Object.defineProperty(globalThis, place, BLOCKED[how]);
}
addEventListener("error", ({ message }) => problems.push(`uncaught: ${message}`));

if (options.ending) noteHandlers(options.ending);
if (options.lockTimes) Object.assign(lockTimes, JSON.parse(options.lockTimes));
const publisher = new Publisher({
  url: new URL(options.url ?? "/collect", location),
  ...(options.mode && { mode: options.mode }),
  ...(options.isInRounds && { headers: () => ({ "x-from": options.tab, "x-sent-at": `${Date.now()}` }) }),
  timeoutMs: Number(options.timeoutMs ?? 10_000),
  outbox: {
    store: options.store ?? (options.isAuto ? "auto" : indexedDbStore()),
    ...(options.unload && { unload: options.unload }),
    retry: { baseMs: Number(options.baseMs ?? 100), ...(options.maxMs && { maxMs: Number(options.maxMs) }) },
    ...(options.maxEvents && { batch: { maxEvents: Number(options.maxEvents) } }),
  },
});
const { outbox } = publisher;
globalThis.degraded = [];
outbox.addEventListener("degraded", ({ detail }) => degraded.push(`${detail.error.code} ${detail.error.message}`));
globalThis.retries = 0;
outbox.addEventListener("retry", () => retries++);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const event = (id, bytes = 20) => new CloudEvent({ id, type: "t", source: "/page", data: "x".repeat(bytes) });

/**
 * Notes that the handlers of a page that ends are called, and later that those of the package are through. Not all of them
 * are if the browser terminates their script, which no `finally` sees; the handler of the next event may do what is left.
 */
function noteHandlers(name) {
  const noteLast = (what) => navigator.sendBeacon("/note", `${what} ${name}`);
  addEventListener("pagehide", () => noteLast("called"));
  let through = 0;
  const registered = [];
  for (const target of [window, document]) {
    const { addEventListener } = target;
    target.addEventListener = (type, listener, ...more) => {
      if (type === "pagehide") registered.push(listener);
      const listenAndNote = (event) => {
        try {
          listener(event);
        } finally {
          const isHidden = type === "visibilitychange" && document.visibilityState === "hidden";
          if (isHidden || (type === "pagehide" && ++through === registered.length)) noteLast("through");
        }
      };
      const isWatched = type === "pagehide" || type === "visibilitychange";
      return addEventListener.call(target, type, isWatched ? listenAndNote : listener, ...more);
    };
  }
}

/** Publishes without end, and notes the accepted ids. */
async function stream(name) {
  for (let turn = 0; ; turn++) {
    const session = publisher.session();
    const receipts = Array.from({ length: 10 }, (_, at) => session.publish(event(`${name}.${turn}.${at}`)));
    void Promise.all(receipts.map(({ accepted }) => accepted)).then(() => note(receipts.map(({ id }) => id).join()));
    await session.flush();
    await wait(Math.random() * 10);
  }
}

/** Publishes events and returns their ids. */
function publish(name, count, bytes, session = publisher.session()) {
  // A session without a reference may be garbage collected.
  globalThis.held = session;
  return Array.from({ length: count }, (_, at) => session.publish(event(`${name}.${at}`, bytes)).id);
}

const receipts = { accepted: 0, delivered: 0 };
addEventListener("pageshow", ({ persisted }) => (globalThis.persisted = persisted));

/** The same, and counts the receipts that resolve. */
function publishWithReceipts(name, count, bytes) {
  const session = publisher.session();
  globalThis.held = session;
  return Array.from({ length: count }, (_, at) => {
    const receipt = session.publish(event(`${name}.${at}`, bytes));
    for (const state of ["accepted", "delivered"]) void receipt[state].then(() => receipts[state]++);
    return receipt.id;
  });
}

/** Publishes, and replaces the page after a random time. */
function leaveSoon(ms) {
  void stream(`left.${Math.random()}`);
  setTimeout(() => (location.search = "?next=1"), Math.random() * ms);
}

/** IndexedDB fails for a while with the error `name`. Returns the ids and the outcomes. */
async function full(name) {
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function () {
    // As when the browser aborts a transaction.
    if (name === "AbortError") this.transaction.abort();
    throw new DOMException("thrown by the test", name);
  };
  const session = publisher.session();
  const ids = publish(`${name}.during`, 50, 20, session);
  const during = await session.flush({ deadlineMs: 5000 });
  const degradedCount = degraded.length;
  IDBObjectStore.prototype.put = put;
  ids.push(...publish(`${name}.after`, 50, 20, session));
  const after = await session.flush({ deadlineMs: 10_000 });
  return { ids, during: during.aborted, degradedCount, after: after.aborted };
}

let outageResult;
/** Runs `publishDuringOutage` once; later calls return the same promise. */
function outage() {
  outageResult ??= publishDuringOutage();
  return outageResult;
}

/** Publishes 2000 events in 20 s, waits 20 s for their delivery, then drains the outbox. */
async function publishDuringOutage() {
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

/** Hides the page thirty times while two outboxes send events. */
async function hiddenOften() {
  const [refused, ids] = [[], []];
  let kept = 0;
  const originalFetch = globalThis.fetch;
  globalThis.fetch = (request, init) => {
    if (init?.keepalive) kept++;
    const response = originalFetch(request, init);
    response.catch((error) => refused.push(String(error)));
    return response;
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

// The tabs check sends commands to all tabs; each answers with a note.
new BroadcastChannel("test").onmessage = async ({ data: { command, round } }) => {
  const tab = options.tab;
  if (command === "publish") {
    const receipts = [];
    for (let turn = 0; turn < 10; turn++) {
      const session = publisher.session();
      for (let at = 0; at < 10; at++) receipts.push(session.publish(event(`${round}.${tab}.${turn}.${at}`)));
      await session.flush();
      void note(JSON.stringify({ kind: "accepted", ids: receipts.slice(-10).map(({ id }) => id) }));
    }
    const ends = await Promise.allSettled(receipts.map(({ delivered }) => delivered));
    void note(
      JSON.stringify({
        kind: "delivered",
        round,
        tab,
        count: ends.filter(({ status }) => status === "fulfilled").length,
      }),
    );
  } else {
    void note(JSON.stringify({ kind: command, round, tab, stats: outbox.stats(), problems }));
  }
};
globalThis.broadcast = (command, round) => new BroadcastChannel("test").postMessage({ command, round });

Object.assign(globalThis, { outbox, stream, publish, publishWithReceipts, receipts, wait, hiddenOften, full, outage });
if (options.isInRounds) takePart({ publisher, event, note, tab: options.tab, problems });
if (options.leaves) leaveSoon(Number(options.leaves));
while (outbox.stats().store === undefined) await wait(10);
globalThis.isReady = true;
