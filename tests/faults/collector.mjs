// A server that counts what reaches it, and misbehaves when it is told to. It serves the pages of the tests too, so that they are
// of its origin.
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
 * Starts one. Batches of events are posted to `/collect`, everything else that is posted is a note for `noted`.
 *
 * `behave` says for each batch what becomes of it: `{ status, headers }` refuses it, `{ reset: true }` and `{ hang: true }` refuse it without
 * a word, `{ lose: true }` takes it and breaks the connection, `{ delayMs }` takes it and answers late, `{}` takes it.
 */
export async function collect({ behave = () => ({}) } = {}) {
  const collector = {
    url: "",
    behave,
    /** How often each id was taken. */
    seen: new Map(),
    /** Batches with their ids, when they came and when they were answered, and whether they were taken. */
    requests: [],
    noted: [],
    problems: [],
    /** The most batches that were open at once. */
    mostOpen: 0,
    get refused() {
      return collector.requests.filter(({ taken }) => !taken).length;
    },
    /** Which of these were not taken. */
    missing: (ids) => ids.filter((id) => !collector.seen.has(id)),
    get duplicates() {
      return [...collector.seen.values()].reduce((sum, times) => sum + times - 1, 0);
    },
    /** Refuses connections until `listen` is called. */
    async hide() {
      await new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
    listen: () => new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve)),
    close: () => collector.hide(),
  };
  const texts = new Map();
  let port = 0;
  let open = 0;

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      // Who was killed in the middle of a request has sent nothing that counts.
      if (error.code !== "ECONNRESET") collector.problems.push(String(error.stack));
      request.socket.destroy();
    });
  });

  async function answer(request, response) {
    const { pathname } = new URL(request.url, "http://localhost");
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
      collector.noted.push(body.toString());
      return response.writeHead(204, CORS).end();
    }
    const parsed = JSON.parse(body);
    const events = Array.isArray(parsed) ? parsed : [parsed];
    const entry = {
      at: Date.now(),
      until: Infinity,
      ids: events.map(({ id }) => id),
      bytes: body.length,
      taken: false,
    };
    collector.requests.push(entry);
    collector.mostOpen = Math.max(collector.mostOpen, ++open);
    let isOpen = true;
    const isDone = () => {
      if (isOpen) open--;
      isOpen = false;
    };
    response.once("close", () => {
      entry.until = Date.now();
      // Whoever has sent it was still there for the answer.
      entry.isHeard = response.writableFinished;
      isDone();
    });
    const { status = 202, headers, reset, lose, hang, delayMs = 0 } = collector.behave(entry);
    if (hang) return;
    if (reset) return request.socket.resetAndDestroy();
    if (status < 300) {
      entry.taken = true;
      events.forEach((event) => {
        const text = JSON.stringify(event);
        if ((texts.get(event.id) ?? text) !== text) collector.problems.push(`${event.id} came with two contents`);
        texts.set(event.id, text);
        collector.seen.set(event.id, (collector.seen.get(event.id) ?? 0) + 1);
      });
    }
    if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
    if (lose) return request.socket.resetAndDestroy();
    // From here on the other side may have the answer and send the next, before we hear that this one is through.
    isDone();
    response.writeHead(status, { ...CORS, ...headers }).end();
  }

  await collector.listen();
  ({ port } = server.address());
  collector.url = `http://127.0.0.1:${port}/`;
  return collector;
}

/** Waits until something is so; false if it never was. */
export async function until(is, ms = 10_000) {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await is()) return true;
    await pause(20);
  }
  return !!(await is());
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Throws unless it is so. */
export function hold(is, sentence) {
  if (!is) throw new Error(sentence);
}

/** Throws if one of these was not taken by the collector, or it has seen what it must not see. */
export function nothingLost(collector, ids) {
  const missing = collector.missing(ids);
  hold(missing.length === 0, `${missing.length} of ${ids.length} were lost, the first is ${missing[0]}`);
  hold(collector.problems.length === 0, collector.problems[0]);
}

/** How many requests had events in them that came again later. */
export function repeated(requests) {
  const first = new Map();
  const again = new Set();
  for (const request of requests.filter(({ taken }) => taken)) {
    for (const id of request.ids) {
      if (first.has(id)) again.add(first.get(id));
      first.set(id, request);
    }
  }
  return again.size;
}
