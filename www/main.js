// The page: composes an event, shows the message it becomes, sends it, and lists what arrives.
import { CloudEvent, Publisher, fromHttp, isFerryError, toBatch, toBinary, toStructured } from "eventferry";

const CHANNEL = "/cloudevents/demo";
const MOST_ROWS = 200;
const $ = (id) => document.getElementById(id);
const form = $("departure");

// ---------------------------------------------------------------------------------------------- departure

/** The message as it will go out, or undefined while the form holds no event. */
let message;

/** Makes events of the form. Their data are the characters in the field, not what JavaScript makes of them. */
function compose() {
  const field = new FormData(form);
  const text = field.get("data");
  const carrier = {
    "ce-specversion": "1.0",
    "ce-id": "draft",
    "ce-source": "/",
    "ce-type": "draft",
    ...(text.trim() && { "content-type": "application/json" }),
  };
  const draft = fromHttp(carrier, text.trim() ? text : "");
  void draft.data; // reading checks that it is JSON
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
    out.textContent = "The form holds no valid event; what is wrong stands at its field.";
    $("message-size").textContent = "";
    return;
  }
  const bytes = bodyBytes(message.body);
  const lines = [line("request", `POST ${CHANNEL}`)];
  for (const [name, value] of Object.entries(message.headers)) lines.push(line("header", name, value));
  out.replaceChildren(...lines, "\n", new TextDecoder().decode(bytes));
  const count = Object.keys(message.headers).length;
  $("message-size").textContent =
    `${count} header${count === 1 ? "" : "s"}, ${bytes.length.toLocaleString("en")} bytes of body; the browser adds host, length and its own`;
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

/** Bytes, because to text `fetch` would add a content type. */
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
  refresh(); // a fresh id and the time of this moment
  if (message) void send(message);
  else form.querySelector("[aria-invalid]")?.focus();
});

// ----------------------------------------------------------------------------------------------- crossing

let crossings = 0;

async function send({ headers, body }) {
  const mine = ++crossings;
  const bytes = bodyBytes(body);
  $("strait").dataset.state = "under-way";
  const start = performance.now();
  let outcome;
  try {
    const answer = await fetch(CHANNEL, { method: "POST", headers, body: bytes.length > 0 ? bytes : null });
    const words = (await answer.text()).trimEnd();
    const extra = ["retry-after"]
      .filter((name) => answer.headers.has(name))
      .map((name) => `\n${name}: ${answer.headers.get(name)}`);
    outcome = {
      good: answer.ok,
      text: `${answer.status} ${answer.statusText}${extra.join("")}${words && `\n\n${words}`}`,
    };
  } catch (error) {
    outcome = {
      good: false,
      text: `No answer: the connection broke (${error.name}: ${error.message}).\nWhether the event arrived cannot be known from here; see the arrivals.`,
    };
  }
  const tookMs = performance.now() - start;
  void refreshTrouble();
  if (mine !== crossings) return;
  $("strait").dataset.state = outcome.good ? "arrived" : "failed";
  $("answer").dataset.outcome = outcome.good ? "good" : "bad";
  $("answer").textContent = outcome.text;
  $("answer-time").textContent = `after ${tookMs < 10 ? tookMs.toFixed(1) : Math.round(tookMs)} ms`;
}

const troubles = [...form.querySelectorAll("[data-trouble]")];
for (const button of troubles) {
  button.addEventListener("click", async () => {
    const isArmed = button.getAttribute("aria-pressed") === "true";
    const path = "/demo/trouble" + (isArmed ? "" : `?kind=${button.dataset.trouble}`);
    const { pending } = await (await fetch(path, { method: isArmed ? "DELETE" : "POST" })).json();
    for (const other of troubles) other.setAttribute("aria-pressed", String(pending > 0 && other === button));
  });
}

async function refreshTrouble() {
  const answer = await fetch("/demo/trouble").catch(() => undefined);
  if (!answer?.ok) return;
  const { pending, isClosed } = await answer.json();
  if (pending === 0) for (const button of troubles) button.setAttribute("aria-pressed", "false");
  $("closed").setAttribute("aria-pressed", String(isClosed));
}

// --------------------------------------------------------------------------------------------------- hold

const { outbox } = new Publisher({
  url: new URL(CHANNEL, location.href),
  mode: "batch",
  outbox: { name: "demo", batch: { maxEvents: 50 } },
});
const PLACES = { indexeddb: "IndexedDB", localstorage: "localStorage", memory: "memory: it goes with the page" };

for (const button of document.querySelectorAll("[data-load]")) {
  button.addEventListener("click", () =>
    outbox
      .run((session) => {
        for (let left = Number(button.dataset.load); left > 0; left--) {
          session.publish(
            new CloudEvent({ type: "com.example.cargo.loaded", source: "/hold", subject: `crate ${++crates}` }),
          );
        }
      })
      .catch((error) => ($("hold-words").textContent = error.message)),
  );
}
let crates = 0;

$("closed").addEventListener("click", async () => {
  const isClosed = $("closed").getAttribute("aria-pressed") === "true";
  await fetch("/demo/trouble" + (isClosed ? "" : "?kind=closed"), { method: isClosed ? "DELETE" : "POST" }).catch(
    () => undefined,
  );
  await refreshTrouble();
  // The page knows that it works again; a client has to try.
  if (isClosed) void outbox.drain({ deadlineMs: 10_000 });
});

let lastTrouble = "";
outbox.addEventListener("retry", ({ detail: { error, delayMs } }) => {
  lastTrouble = `${error.message}. The next try is in ${(delayMs / 1000).toFixed(1)} s.`;
  showHold();
});
outbox.addEventListener("degraded", ({ detail: { error } }) => (lastTrouble = error.message));
for (const type of ["accepted", "delivered", "dead"]) outbox.addEventListener(type, showHold);

function showHold() {
  const stats = outbox.stats();
  for (const cell of document.querySelectorAll("[data-count]"))
    cell.textContent = stats[cell.dataset.count].toLocaleString("en");
  $("hold-store").textContent = stats.store
    ? `in ${PLACES[stats.store] ?? stats.store}${stats.isLeader ? "" : ", another tab sends"}`
    : "";
  $("hold-words").textContent = stats.pending === 0 ? "Nothing is waiting." : lastTrouble || "On their way.";
  if (stats.pending === 0) lastTrouble = "";
}
setInterval(showHold, 1000);

// ----------------------------------------------------------------------------------------------- arrivals

let stream;
let lastSeq = 0;
let total = 0;
let isInService = false;

function connect() {
  stream = new EventSource(`${CHANNEL}/stream?after=${lastSeq}`);
  stream.addEventListener("open", () => setService(true));
  stream.addEventListener("message", ({ lastEventId, data }) => arrived(Number(lastEventId), data));
  stream.addEventListener("error", () => {
    setService(false);
    // Most browsers come back by themselves, but not after every kind of failure.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  });
}

function setService(isThere) {
  isInService = isThere;
  $("service").dataset.state = isThere ? "in-service" : "out";
  $("service-words").textContent = isThere ? `In service at ${location.host}` : "Out of service";
  $("notice").hidden = isThere;
  $("notice").textContent = isThere
    ? ""
    : "The emulator is gone. Start it again with “npm run demo”; this page reconnects by itself.";
  updateSend();
  if (isThere) void refreshTrouble();
}

function updateSend() {
  $("send").disabled = !message || !isInService;
}

function arrived(seq, text) {
  // Numbers only grow; a lower one is the first of an emulator that was started anew.
  if (seq <= lastSeq)
    $("board").prepend(
      Object.assign(document.createElement("li"), {
        className: "restart",
        textContent: "The emulator was started anew.",
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
  const departed = new Date(event.time ?? NaN);
  const clock = Number.isNaN(+departed)
    ? ""
    : `${departed.toLocaleTimeString("en-GB")}.${String(departed.getMilliseconds()).padStart(3, "0")}`;
  summary.append(
    cell("seq", String(seq)),
    cell("clock", clock),
    cell("type", event.type),
    cell("source", event.source),
    cell("subject", event.subject ?? ""),
  );
  details.append(summary);
  // Taken apart only when somebody looks.
  details.addEventListener("toggle", () => details.childElementCount === 1 && details.append(manifest(event)), {
    once: true,
  });
  row.append(details);
  $("board").prepend(row);
  while ($("board").childElementCount > MOST_ROWS) $("board").lastElementChild.remove();
  total++;
  $("board-empty").hidden = true;
  $("arrivals-count").textContent =
    `${total.toLocaleString("en")}${total > MOST_ROWS ? `, the last ${MOST_ROWS} shown` : ""}`;
  announce(`${event.type} arrived`);
}

function manifest(event) {
  const box = document.createElement("div");
  box.className = "manifest";
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
  data.className = "wire";
  data.textContent = dataOf(event);
  box.append(list, data);
  return box;
}

function dataOf(event) {
  if (event.dataBytes === undefined) return "no data";
  try {
    return event.dataText;
  } catch {
    return `${event.dataBytes.length} bytes that are no text`;
  }
}

let announcing;
function announce(words) {
  clearTimeout(announcing);
  announcing = setTimeout(() => ($("announce").textContent = words), 300);
}

// ---------------------------------------------------------------------------------------------------- log

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

/** What is done with each event; the sums keep the engine from leaving work out. */
const WORK = {
  route: [(text) => CloudEvent.fromJSON(text).type.length, (text) => JSON.parse(text).type.length],
  data: [
    (text) => ((event) => event.type.length + event.data.lines.length)(CloudEvent.fromJSON(text)),
    (text) => ((event) => event.type.length + event.data.lines.length)(JSON.parse(text)),
  ],
};

$("log-count").textContent = SAMPLES.toLocaleString("en");
$("log-size").textContent = Math.round(
  samples.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0) / SAMPLES,
).toLocaleString("en");
$("measure").addEventListener("click", async () => {
  $("measure").disabled = true;
  for (const [row, [ours, theirs]] of Object.entries(WORK)) {
    const times = [[], []];
    for (let round = -2; round < ROUNDS; round++) {
      $("measure-state").textContent = `measuring ${row === "route" ? 1 : 2} of 2`;
      await new Promise((resolve) => setTimeout(resolve)); // the page stays alive
      const pair = [time(ours), time(theirs)];
      if (round >= 0) pair.forEach((us, at) => times[at].push(us)); // the first two only warm up
    }
    const cells = document.querySelectorAll(`#log-table [data-row="${row}"] td`);
    times.forEach((all, at) => (cells[at].textContent = all.sort((a, b) => a - b)[ROUNDS >> 1].toFixed(2)));
  }
  $("measure-state").textContent = "";
  $("measure").disabled = false;
});

/** Microseconds an event; as many passes as a coarse clock needs. */
function time(work) {
  let sum = 0;
  let passes = 0;
  const start = performance.now();
  let end;
  do {
    for (const text of samples) sum += work(text);
    passes++;
  } while ((end = performance.now()) - start < 15);
  if (sum === 0) throw new Error("nothing was read");
  return ((end - start) * 1000) / (passes * SAMPLES);
}

$("address").textContent = `${location.origin}${CHANNEL}`;
refresh();
connect();
