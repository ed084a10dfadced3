// The picture: ten events a second go through a plain fetch client and through the outbox, over a network that fails.
// Not from `eventferry`, which also has the modules of the other systems: the first event is on the screen sooner.
import { toStructured } from "eventferry/cloudevents";
import { CloudEvent, Publisher } from "eventferry/outbox";
import { createChart } from "./chart.js";
import { add, clear, setting, totals } from "./counters.js";
import { createNetwork, MODES, PLAIN_URL, SERVER_URL } from "./network.js";

const EVENTS_PER_SECOND = 10;
const MAX_ROWS = 60;
const MAX_LETTERS = 20;
const $ = (id) => document.getElementById(id);
const format = (count) => count.toLocaleString("en");

const mode = setting("mode", "online", showMode);
const strict = setting("strict", "yes", showStrict);
const PLAIN = "/demo/fetch";
const OURS = "/demo/outbox";

// ------------------------------------------------------------------------------------------------ clients

const network = createNetwork({
  mode: () => mode.get(),
  isStrict: () => strict.get() === "yes",
  onEvent({ source, subject }) {
    const isOurs = source === OURS;
    add(isOurs ? "delivered" : "arrived");
    report(isOurs ? "outbox" : "fetch", subject);
  },
});
const publisher = new Publisher({
  url: SERVER_URL,
  mode: "batch",
  fetch: network,
  outbox: { name: "demo", batch: { maxEvents: 50 }, retry: { baseMs: 250, maxMs: 2000 } },
});
const { outbox } = publisher;
const session = publisher.session({ autoFlushMs: 100 });
let inFlight = 0;

/** What many pages do: one request for each event, and no second try. */
async function sendPlainly(event) {
  add("sent");
  inFlight++;
  try {
    await network(PLAIN_URL, { method: "POST", ...toStructured(event) });
  } catch {
    // The event is gone. Whether the server has it, nobody knows.
  } finally {
    inFlight--;
  }
}

/** How many events are published and not counted yet. */
let uncounted = 0;
function publish(event) {
  uncounted++;
  session.publish(event).accepted.then(
    () => countAccepted(Math.min(1, uncounted)),
    (error) => {
      uncounted = Math.max(0, uncounted - 1);
      showError(error);
    },
  );
}
function countAccepted(count) {
  uncounted -= count;
  if (count > 0) add("accepted", count);
}
// The outbox keeps what a page has published when it ends, and the next page sends it.
window.addEventListener("pagehide", () => countAccepted(uncounted));

let orders = 0;
const order = (data, source) =>
  new CloudEvent({ type: "com.example.order.created", source, subject: `order ${orders}`, data });

let isRunning = false;
let timer;
function setRunning(wanted) {
  isRunning = wanted;
  clearInterval(timer);
  const tick = () => {
    orders++;
    void sendPlainly(order({ total: 18 }, PLAIN));
    publish(order({ total: 18 }, OURS));
  };
  if (wanted) {
    tick();
    timer = setInterval(tick, 1000 / EVENTS_PER_SECOND);
  }
  $("run").textContent = wanted ? "Pause" : "Send ten events a second";
  $("run").setAttribute("aria-pressed", String(wanted));
}

// ----------------------------------------------------------------------------------------------- controls

for (const input of document.querySelectorAll('input[name="network"]'))
  input.addEventListener("change", () => mode.set(input.value));
$("run").addEventListener("click", () => setRunning(!isRunning));
$("reload").addEventListener("click", () => location.reload());
$("wrong").addEventListener("click", () => publish(order({ total: "free" }, OURS)));
$("strict").addEventListener("change", (event) => strict.set(event.target.checked ? "yes" : "no"));
$("replay").addEventListener("click", async () => {
  const count = await outbox.dead.replay();
  $("dead-status").textContent = `${count} sent again.`;
  void refresh();
});
$("reset").addEventListener("click", async () => {
  setRunning(false);
  await outbox.purge();
  const dead = await outbox.dead.list();
  await outbox.dead.remove(dead.map(({ id }) => id));
  clear();
  rows = [];
  $("log").replaceChildren();
  void refresh();
});

function showMode(name) {
  const input = document.querySelector(`input[name="network"][value="${name}"]`);
  if (input) input.checked = true;
  $("picture").dataset.mode = name;
  $("mode-text").textContent = MODES[name] ?? "";
  // The page knows that the network works again, so it need not wait for the next retry.
  if (name === "online" || name === "slow") void outbox.drain({ deadlineMs: 5000 }).catch(() => undefined);
}

function showStrict(value) {
  $("strict").checked = value === "yes";
}

function showError(error) {
  $("store").textContent = error.message;
}

// ------------------------------------------------------------------------------------------------- figures

let before = totals();
const draw = createChart($("chart"));

/** Tabs count one after the other, so a difference is a loss only if it lasts. */
const LASTING_MS = 3000;
let differences = [{ atMs: performance.now(), count: 0 }];
function lasting(count) {
  const atMs = performance.now();
  differences.push({ atMs, count });
  // The newest one that is old enough stays, so that the list spans the whole time.
  const first = differences.findLastIndex((difference) => difference.atMs <= atMs - LASTING_MS);
  differences = differences.slice(Math.max(0, first));
  return Math.min(...differences.map((difference) => difference.count));
}

function refresh() {
  const sums = { sent: 0, arrived: 0, accepted: 0, delivered: 0, ...totals() };
  const { pending, dead, store, isLeader } = outbox.stats();
  const shown = {
    sent: sums.sent,
    arrived: sums.arrived,
    fetchLost: Math.max(0, sums.sent - sums.arrived - inFlight),
    accepted: sums.accepted,
    delivered: sums.delivered,
    waiting: pending,
    dead,
    lost: store ? lasting(Math.max(0, sums.accepted - sums.delivered - pending - dead)) : 0,
  };
  for (const cell of document.querySelectorAll("[data-count]")) cell.textContent = format(shown[cell.dataset.count]);
  $("fetch-row").dataset.lost = String(shown.fetchLost > 0);
  $("store").textContent = store
    ? `Kept in ${store === "indexeddb" ? "IndexedDB" : store}. ${isLeader ? "This tab sends." : "Another tab sends."}`
    : "Opening the store.";
  return { ...shown, ...sums };
}

/** Each second: the chart and the dead letters. */
async function everySecond() {
  const now = refresh();
  const rate = (name) => Math.max(0, (now[name] ?? 0) - (before[name] ?? 0));
  const top = draw([rate("arrived"), rate("delivered"), now.waiting]);
  $("chart-top").textContent = format(top);
  before = totals();
  if (Math.min(now.dead, MAX_LETTERS) !== shownDead) await showDead();
}

/** How many letters are shown. The count may be ahead of the store, and then the next second shows them. */
let shownDead = -1;
async function showDead() {
  const letters = await outbox.dead.list(MAX_LETTERS);
  shownDead = letters.length;
  $("dead-list").replaceChildren(
    ...letters.map(({ id, status, reason }) => {
      const row = document.createElement("li");
      row.textContent = `${id.slice(0, 8)}  ${status}  ${reason}`;
      return row;
    }),
  );
  $("dead-empty").hidden = letters.length > 0;
  $("replay").disabled = letters.length === 0;
}

// ---------------------------------------------------------------------------------------------- the server

let burst = new Map();
/** The newest first. */
let rows = [];
let reportTimer;
let showFirst;
/** Shows what the server receives: many events in a short time are one row. */
function report(client, subject) {
  const last = burst.get(client);
  burst.set(client, { subject, count: (last?.count ?? 0) + 1 });
  if (reportTimer !== undefined) return;
  const isFirst = $("log").childElementCount === 0;
  reportTimer = setTimeout(showReport, isFirst ? 0 : 1000);
}

/** Resolves once the first event that the server has received is on the screen. */
export const firstEvent = new Promise((resolve) => {
  showFirst = resolve;
});
function showReport() {
  reportTimer = undefined;
  const clock = new Date().toLocaleTimeString("en-GB");
  for (const [client, { subject, count }] of burst)
    rows.unshift({ client, text: `${clock}  ${client.padEnd(6)}  ${subject}${count > 1 ? `  × ${count}` : ""}` });
  rows = rows.slice(0, MAX_ROWS);
  // Each element stays in its place and gets another text: an element in front of the others would move them all.
  const list = $("log");
  rows.forEach(({ client, text }, at) => {
    const row = list.children[at] ?? list.appendChild(document.createElement("li"));
    row.dataset.client = client;
    row.textContent = text;
  });
  if (performance.getEntriesByName("first event").length === 0) performance.mark("first event");
  showFirst();
  burst = new Map();
}

// --------------------------------------------------------------------------------------------------- start

export function startPicture() {
  showMode(mode.get());
  showStrict(strict.get());
  setRunning(true);
  refresh();
  setInterval(refresh, 250);
  setInterval(() => void everySecond(), 1000);
}
