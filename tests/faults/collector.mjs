// A server that counts the events it receives, and fails on request. It also serves the test pages, so that they have its
// origin.
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fileAt } from "../serve.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const FOLDERS = { "/tests/": join(root, "tests"), "/dist/": join(root, "dist") };
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "*",
  "access-control-allow-methods": "*",
};

/**
 * Starts a collector. Batches of events are posted to `/collect`; the bodies of all other posts are added to `notes`.
 * `/wait?ms=…` answers late.
 *
 * `behave` decides for each batch: `{ status, headers }` refuses it, `{ reset: true }` breaks the connection,
 * `{ hang: true }` never answers, `{ lose: true }` accepts it and breaks the connection, `{ delayMs }` accepts it and
 * answers late, `{}` accepts it.
 */
export async function collect({ behave = () => ({}) } = {}) {
  const collector = {
    url: "",
    behave,
    /** How often each id was accepted. */
    seen: new Map(),
    /**
     * Batches with their ids, when they arrived and when they were answered, whether they were accepted, and from whom
     * they are and when that was sent: the headers `x-from` and `x-sent-at`.
     */
    requests: [],
    notes: [],
    problems: [],
    /** The largest number of batches open at the same time, and of senders of these. */
    maxOpen: 0,
    maxSenders: 0,
    get refused() {
      return collector.requests.filter(({ isAccepted }) => !isAccepted).length;
    },
    /** Which of these ids were not accepted. */
    missing: (ids) => ids.filter((id) => !collector.seen.has(id)),
    get duplicates() {
      return [...collector.seen.values()].reduce((sum, times) => sum + times - 1, 0);
    },
    /** Refuses connections until `listen` is called. */
    async stopListening() {
      await new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
    listen: () => new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve)),
    close: () => collector.stopListening(),
  };
  const texts = new Map();
  let port = 0;
  const open = new Set();

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      // A client that was killed during a request has sent no complete batch.
      if (error.code !== "ECONNRESET") collector.problems.push(String(error.stack));
      request.socket.destroy();
    });
  });

  async function answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    if (pathname === "/wait") return setTimeout(() => response.end(), Number(searchParams.get("ms")));
    if (request.method === "OPTIONS") return response.writeHead(204, CORS).end();
    if (request.method !== "POST") {
      const file = await fileAt(FOLDERS, pathname).catch(() => undefined);
      return response
        .writeHead(file ? 200 : 404, {
          ...CORS,
          "cache-control": "no-cache",
          "content-type": file?.type ?? "text/plain",
        })
        .end(file?.body);
    }
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (pathname !== "/collect") {
      collector.notes.push(body.toString());
      return response.writeHead(204, CORS).end();
    }
    const parsed = JSON.parse(body);
    const events = Array.isArray(parsed) ? parsed : [parsed];
    const entry = {
      at: Date.now(),
      until: Infinity,
      ids: events.map(({ id }) => id),
      bytes: body.length,
      isAccepted: false,
      from: request.headers["x-from"],
      sentAt: Number(request.headers["x-sent-at"]),
    };
    collector.requests.push(entry);
    open.add(entry);
    collector.maxOpen = Math.max(collector.maxOpen, open.size);
    collector.maxSenders = Math.max(collector.maxSenders, new Set([...open].map(({ from }) => from)).size);
    const markClosed = () => open.delete(entry);
    response.once("close", () => {
      entry.until = Date.now();
      // Whether the client was still connected for the response.
      entry.isAnswered = response.writableFinished;
      markClosed();
    });
    const { status = 202, headers, reset, lose, hang, delayMs = 0 } = collector.behave(entry);
    if (hang) return;
    if (reset) return request.socket.resetAndDestroy();
    if (status < 300) {
      entry.isAccepted = true;
      for (const event of events) {
        const text = JSON.stringify(event);
        if ((texts.get(event.id) ?? text) !== text) collector.problems.push(`${event.id} arrived with two contents`);
        texts.set(event.id, text);
        collector.seen.set(event.id, (collector.seen.get(event.id) ?? 0) + 1);
      }
    }
    if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
    if (lose) return request.socket.resetAndDestroy();
    // From here on the client may have the response and send the next batch, before `close` is emitted here.
    markClosed();
    response.writeHead(status, { ...CORS, ...headers }).end();
  }

  await collector.listen();
  ({ port } = server.address());
  collector.url = `http://127.0.0.1:${port}/`;
  return collector;
}

/** Waits until a condition is true. Resolves with false if it did not become true in time. */
export async function until(condition, ms = 10_000) {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await condition()) return true;
    await sleep(20);
  }
  return !!(await condition());
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Throws an error with this message unless the condition is true. */
export function ensure(condition, message) {
  if (!condition) throw new Error(message);
}

/** Throws if the collector did not accept one of these ids, or received two contents for one id. */
export function ensureNothingLost(collector, ids) {
  const missing = collector.missing(ids);
  ensure(missing.length === 0, `${missing.length} of ${ids.length} events were lost, the first is ${missing[0]}`);
  ensure(collector.problems.length === 0, collector.problems[0]);
}

/** Number of accepted requests that contain events which were accepted again later. */
export function countRepeated(requests) {
  const latest = new Map();
  const repeated = new Set();
  for (const request of requests.filter(({ isAccepted }) => isAccepted)) {
    for (const id of request.ids) {
      if (latest.has(id)) repeated.add(latest.get(id));
      latest.set(id, request);
    }
  }
  return repeated.size;
}
