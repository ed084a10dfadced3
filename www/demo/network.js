// The network and the server of the picture, both in the page. The server is a receiver of web hooks that remembers in IndexedDB
// which events it has handled: all tabs have the same server, and an event that is sent twice counts once.
import { webhook } from "eventferry/cloudevents";
import { indexedDbStore } from "eventferry/outbox";

export const SERVER_URL = "https://server.example/orders";
/** Where plain fetch sends to. It sends each event once, so nothing has to be remembered. */
export const PLAIN_URL = "https://server.example/plain";
const SLOW_MS = 1500;
/** The server ends with its page. What it was handling then may be handled by the next page after this time. */
const CLAIM_MS = 2000;

/** What the switch does, in one sentence each. */
export const MODES = {
  online: "Everything works.",
  offline: "No request gets through. What plain fetch sends now is lost; the outbox keeps its events.",
  refusing: "The server answers 503. Plain fetch has no second try; the outbox waits and sends again.",
  lost: "The server gets each request, and its answer is lost. The outbox sends again, and the server knows the event by its id.",
  slow: "Each request takes 1.5 seconds longer. The outbox sends more events in one request.",
};

/**
 * @param options.mode returns a name of `MODES`
 * @param options.isStrict whether the server refuses an order without a total
 * @param options.onEvent called for each event that the server handles
 * @returns a function like `fetch`
 */
export function createNetwork({ mode, isStrict, onEvent }) {
  const options = {
    allowedOrigins: "*",
    schema: { "~standard": { version: 1, vendor: "demo", validate: (data) => validate(data, isStrict()) } },
    onEvent,
  };
  const receivers = {
    [PLAIN_URL]: webhook(options),
    [SERVER_URL]: webhook({ ...options, dedupe: { store: shortClaims(), scope: "orders" } }),
  };
  return async (url, init) => {
    const at = mode();
    if (at === "offline") throw new TypeError("Failed to fetch: the network is offline");
    if (at === "refusing")
      return new Response("the server is overloaded\n", { status: 503, statusText: "Service Unavailable" });
    if (at === "slow") await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    const answer = await receivers[String(url)](new Request(url, { ...init, signal: null }));
    if (at === "lost") throw new TypeError("Failed to fetch: the answer was lost");
    init?.signal?.throwIfAborted();
    return answer;
  };
}

/** A store that remembers events as the one in IndexedDB, with claims that end soon. */
function shortClaims() {
  const store = indexedDbStore("eventferry-demo-server");
  return {
    claim: (key) => store.claim(key, Date.now() + CLAIM_MS),
    settle: (key, seenUntilMs) => store.settle(key, seenUntilMs),
  };
}

function validate(data, isStrict) {
  if (!isStrict || typeof data?.total === "number") return { value: data };
  return { issues: [{ message: "must be a number", path: ["total"] }] };
}
