// The demo page: composes an event, shows its HTTP request, sends it, and lists received events.
import { CloudEvent, Publisher, fromHttp, isFerryError, toBatch, toBinary, toStructured } from "eventferry";

const CHANNEL = "/cloudevents/demo";
const MAX_ROWS = 200;
const $ = (id) => document.getElementById(id);
const form = $("event-form");

// ------------------------------------------------------------------------------------------------- event

/** The HTTP message to send, or undefined while the form holds no valid event. */
let message;

/** Builds the message from the form. The data are the exact characters of the field, never parsed and re-serialized. */
function compose() {
  const field = new FormData(form);
  const text = field.get("data");
  const draftHeaders = {
    "ce-specversion": "1.0",
    "ce-id": "draft",
    "ce-source": "/",
    "ce-type": "draft",
    ...(text.trim() && { "content-type": "application/json" }),
  };
  const draft = fromHttp(draftHeaders, text.trim() ? text : "");
  void draft.data; // reading it validates the JSON
  const name = field.get("extensionName").trim();
  const make = () =>
    draft.with({
      id: crypto.randomUUID(),
      type: field.get("type"),
      source: field.get("source"),
      subject: field.get("subject") || null,
      time: new Date(),
      ...(name && { [name]: field.get("extensionValue") }),
    });
  switch (field.get("mode")) {
    case "structured":
      return toStructured(make());
    case "batch":
      return toBatch(Array.from({ length: Math.min(500, Math.max(1, Number(field.get("count")) || 1)) }, make));
    default:
      return toBinary(make());
  }
}

function refresh() {
  clearErrors();
  try {
    message = compose();
  } catch (error) {
    message = undefined;
    showError(error);
  }
  showMessage();
  updateSend();
}

function showMessage() {
  const out = $("message");
  out.dataset.empty = String(!message);
  if (!message) {
    out.textContent = "The form does not contain a valid event; see the message at the field.";
    $("message-size").textContent = "";
    return;
  }
  const bytes = bodyBytes(message.body);
  const lines = [line("request", `POST ${CHANNEL}`)];
  for (const [name, value] of Object.entries(message.headers)) lines.push(line("header", name, value));
  out.replaceChildren(...lines, "\n", new TextDecoder().decode(bytes));
  const count = Object.keys(message.headers).length;
  $("message-size").textContent =
    `${count} header${count === 1 ? "" : "s"}, ${bytes.length.toLocaleString("en")} bytes of body; ` +
    "the browser adds its own headers";
}

function line(kind, name, value) {
  const row = document.createElement("span");
  row.className = kind;
  row.append(
    kind === "header" ? Object.assign(document.createElement("b"), { textContent: `${name}: ` }) : name,
    value ?? "",
    "\n",
  );
  return row;
}

/** As bytes, because `fetch` adds a content type to text. */
function bodyBytes(body) {
  return typeof body === "string" ? new TextEncoder().encode(body) : (body ?? new Uint8Array());
}

function showError(error) {
  if (!isFerryError(error)) throw error;
  const known = ["type", "source", "subject", "data"].includes(error.attribute);
  const field = form.querySelector(`[data-field="${known ? error.attribute : "extension"}"]`);
  const note = document.createElement("p");
  note.className = "error";
  note.id = "field-error";
  note.setAttribute("role", "status");
  const code = Object.assign(document.createElement("code"), {
    textContent: `${error.code}${error.attribute === undefined ? "" : `  ${error.attribute}`}`,
  });
  note.append(code, error.message);
  field.append(note);
  field.dataset.invalid = "";
  for (const input of field.querySelectorAll("input, textarea")) {
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", note.id);
  }
}

function clearErrors() {
  $("field-error")?.remove();
  for (const field of form.querySelectorAll("[data-invalid]")) delete field.dataset.invalid;
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
}

form.addEventListener("input", (event) => {
  if (event.target.id === "count") form.elements.mode.value = "batch";
  refresh();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh(); // a new id and the current time
  if (message) void send(message);
  else form.querySelector("[aria-invalid]")?.focus();
});

// ----------------------------------------------------------------------------------------------- exchange

let requestCount = 0;

async function send({ headers, body }) {
  const thisRequest = ++requestCount;
  const bytes = bodyBytes(body);
  $("progress").dataset.state = "sending";
  const start = performance.now();
  let outcome;
  try {
    const answer = await fetch(CHANNEL, { method: "POST", headers, body: bytes.length > 0 ? bytes : null });
    const text = (await answer.text()).trimEnd();
    const extra = ["retry-after"]
      .filter((name) => answer.headers.has(name))
      .map((name) => `\n${name}: ${answer.headers.get(name)}`);
    outcome = {
      good: answer.ok,
      text: `${answer.status} ${answer.statusText}${extra.join("")}${text && `\n\n${text}`}`,
    };
  } catch (error) {
    outcome = {
      good: false,
      text: `No response: the connection broke (${error.name}: ${error.message}).\nThe client cannot know whether the event was received; see the received events.`,
    };
  }
  const tookMs = performance.now() - start;
  void refreshFaults();
  if (thisRequest !== requestCount) return;
  $("progress").dataset.state = outcome.good ? "delivered" : "failed";
  $("answer").dataset.outcome = outcome.good ? "good" : "bad";
  $("answer").textContent = outcome.text;
  $("answer-time").textContent = `after ${tookMs < 10 ? tookMs.toFixed(1) : Math.round(tookMs)} ms`;
}

const faultButtons = [...form.querySelectorAll("[data-fault]")];
for (const button of faultButtons) {
  button.addEventListener("click", async () => {
    const isArmed = button.getAttribute("aria-pressed") === "true";
    const path = isArmed ? "/demo/fault" : `/demo/fault?kind=${button.dataset.fault}`;
    const { pending } = await (await fetch(path, { method: isArmed ? "DELETE" : "POST" })).json();
    for (const other of faultButtons) other.setAttribute("aria-pressed", String(pending > 0 && other === button));
  });
}

async function refreshFaults() {
  const answer = await fetch("/demo/fault").catch(() => undefined);
  if (!answer?.ok) return;
  const { pending, isOutage } = await answer.json();
  if (pending === 0) for (const button of faultButtons) button.setAttribute("aria-pressed", "false");
  $("outage").setAttribute("aria-pressed", String(isOutage));
}

// ------------------------------------------------------------------------------------------------- outbox

const { outbox } = new Publisher({
  url: new URL(CHANNEL, location.href),
  mode: "batch",
  outbox: { name: "demo", batch: { maxEvents: 50 } },
});
const STORE_NAMES = { indexeddb: "IndexedDB", localstorage: "localStorage", memory: "memory, lost with the page" };

for (const button of document.querySelectorAll("[data-publish]")) {
  button.addEventListener("click", () =>
    outbox
      .run((session) => {
        for (let left = Number(button.dataset.publish); left > 0; left--) {
          session.publish(
            new CloudEvent({
              type: "com.example.order.created",
              source: "/demo/outbox",
              subject: `order ${++published}`,
            }),
          );
        }
      })
      .catch((error) => ($("outbox-status").textContent = error.message)),
  );
}
let published = 0;

$("outage").addEventListener("click", async () => {
  const isOutage = $("outage").getAttribute("aria-pressed") === "true";
  await fetch(isOutage ? "/demo/fault" : "/demo/fault?kind=outage", { method: isOutage ? "DELETE" : "POST" }).catch(
    () => undefined,
  );
  await refreshFaults();
  // The page knows that the server works again, so it need not wait for the next retry.
  if (isOutage) void outbox.drain({ deadlineMs: 10_000 });
});

let lastError = "";
outbox.addEventListener("retry", ({ detail: { error, delayMs } }) => {
  lastError = `${error.message}. Next retry in ${(delayMs / 1000).toFixed(1)} s.`;
  showOutbox();
});
outbox.addEventListener("degraded", ({ detail: { error } }) => (lastError = error.message));
for (const type of ["accepted", "delivered", "dead"]) outbox.addEventListener(type, showOutbox);

function showOutbox() {
  const stats = outbox.stats();
  for (const cell of document.querySelectorAll("[data-count]"))
    cell.textContent = stats[cell.dataset.count].toLocaleString("en");
  $("outbox-store").textContent = stats.store
    ? `in ${STORE_NAMES[stats.store] ?? stats.store}${stats.isLeader ? "" : ", sent by another tab"}`
    : "";
  $("outbox-status").textContent = stats.pending === 0 ? "No events are pending." : lastError || "Sending.";
  if (stats.pending === 0) lastError = "";
}
setInterval(showOutbox, 1000);

// ----------------------------------------------------------------------------------------------- received

let stream;
let lastSeq = 0;
let total = 0;
let isOnline = false;

function connect() {
  stream = new EventSource(`${CHANNEL}/stream?after=${lastSeq}`);
  stream.addEventListener("open", () => setOnline(true));
  stream.addEventListener("message", ({ lastEventId, data }) => showReceived(Number(lastEventId), data));
  stream.addEventListener("error", () => {
    setOnline(false);
    // Browsers reconnect automatically, but not after every kind of failure.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  });
}

function setOnline(isReachable) {
  isOnline = isReachable;
  $("service").dataset.state = isReachable ? "online" : "offline";
  $("service-text").textContent = isReachable ? `Connected to ${location.host}` : "Disconnected";
  $("notice").hidden = isReachable;
  $("notice").textContent = isReachable
    ? ""
    : "The emulator is not reachable. Start it again; this page reconnects automatically.";
  updateSend();
  if (isReachable) void refreshFaults();
}

function updateSend() {
  $("send").disabled = !message || !isOnline;
}

function showReceived(seq, text) {
  // Sequence numbers only increase; a lower one means that the emulator was restarted.
  if (seq <= lastSeq)
    $("event-list").prepend(
      Object.assign(document.createElement("li"), {
        className: "restart",
        textContent: "The emulator was restarted.",
      }),
    );
  lastSeq = seq;
  const event = CloudEvent.fromJSON(text);
  const row = document.createElement("li");
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const cell = (name, value) => {
    const span = Object.assign(document.createElement("span"), { className: name, textContent: value });
    if (value) span.title = value;
    return span;
  };
  const time = new Date(event.time ?? NaN);
  const clock = Number.isNaN(+time)
    ? ""
    : `${time.toLocaleTimeString("en-GB")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  summary.append(
    cell("seq", String(seq)),
    cell("clock", clock),
    cell("type", event.type),
    cell("source", event.source),
    cell("subject", event.subject ?? ""),
  );
  details.append(summary);
  // The event is decoded further only when the details are opened.
  details.addEventListener("toggle", () => details.childElementCount === 1 && details.append(eventDetails(event)), {
    once: true,
  });
  row.append(details);
  $("event-list").prepend(row);
  while ($("event-list").childElementCount > MAX_ROWS) $("event-list").lastElementChild.remove();
  total++;
  $("event-list-empty").hidden = true;
  $("received-count").textContent =
    `${total.toLocaleString("en")}${total > MAX_ROWS ? `, the last ${MAX_ROWS} shown` : ""}`;
  announce(`received ${event.type}`);
}

function eventDetails(event) {
  const box = document.createElement("div");
  box.className = "event-details";
  const list = document.createElement("dl");
  const add = (name, value) => {
    if (value === undefined) return;
    list.append(
      Object.assign(document.createElement("dt"), { textContent: name }),
      Object.assign(document.createElement("dd"), { textContent: String(value) }),
    );
  };
  for (const name of ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema"])
    add(name, event[name]);
  for (const [name, value] of Object.entries(event.extensions))
    add(name, typeof value === "object" ? JSON.stringify(value) : value);
  const data = document.createElement("pre");
  data.className = "http-text";
  data.textContent = dataOf(event);
  box.append(list, data);
  return box;
}

function dataOf(event) {
  if (event.dataBytes === undefined) return "no data";
  try {
    return event.dataText;
  } catch {
    return `${event.dataBytes.length} bytes that are not text`;
  }
}

let announcing;
/** Announces a text to screen readers; of several in quick succession only the last. */
function announce(text) {
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    $("announce").textContent = text;
  }, 300);
}

// ---------------------------------------------------------------------------------------------- benchmark

const SAMPLES = 1000;
const ROUNDS = 9;
const samples = Array.from({ length: SAMPLES }, (_, at) =>
  new CloudEvent({
    type: at % 2 ? "com.example.order.created" : "com.example.order.paid",
    source: "/shops/harbour",
    subject: `order/${at}`,
    tenant: "north",
    data: {
      orderId: at,
      customer: { name: "Åsa Öberg", city: "Göteborg" },
      lines: Array.from({ length: 12 }, (_, line) => ({
        sku: `SKU-${at}-${line}`,
        quantity: line + 1,
        price: 18.5,
        note: "no milk",
      })),
    },
  }).toString(),
);

/** The work on each event. The sums keep the JavaScript engine from optimizing it away. */
const WORKLOADS = {
  route: [(text) => CloudEvent.fromJSON(text).type.length, (text) => JSON.parse(text).type.length],
  data: [
    (text) => ((event) => event.type.length + event.data.lines.length)(CloudEvent.fromJSON(text)),
    (text) => ((event) => event.type.length + event.data.lines.length)(JSON.parse(text)),
  ],
};

$("benchmark-count").textContent = SAMPLES.toLocaleString("en");
$("benchmark-size").textContent = Math.round(
  samples.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0) / SAMPLES,
).toLocaleString("en");
$("measure").addEventListener("click", async () => {
  $("measure").disabled = true;
  for (const [row, [ours, theirs]] of Object.entries(WORKLOADS)) {
    const times = [[], []];
    for (let round = -2; round < ROUNDS; round++) {
      $("measure-state").textContent = `measuring ${row === "route" ? 1 : 2} of 2`;
      await new Promise((resolve) => setTimeout(resolve)); // lets the page render
      const pair = [time(ours), time(theirs)];
      // The first two rounds only warm up.
      if (round >= 0) for (const [at, us] of pair.entries()) times[at].push(us);
    }
    const cells = document.querySelectorAll(`#benchmark-table [data-row="${row}"] td`);
    for (const [at, all] of times.entries()) cells[at].textContent = all.sort((a, b) => a - b)[ROUNDS >> 1].toFixed(2);
  }
  $("measure-state").textContent = "";
  $("measure").disabled = false;
});

/** Microseconds per event, over as many passes as a coarse clock needs. */
function time(work) {
  let sum = 0;
  let passes = 0;
  const start = performance.now();
  let end = start;
  for (; end - start < 15; end = performance.now()) {
    for (const text of samples) sum += work(text);
    passes++;
  }
  if (sum === 0) throw new Error("the workload read no event");
  return ((end - start) * 1000) / (passes * SAMPLES);
}

$("address").textContent = `${location.origin}${CHANNEL}`;
refresh();
connect();
