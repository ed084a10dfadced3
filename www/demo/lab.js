// The batch lab: events and a filter that are read as they are typed, which events match, and how long a batch takes.
import { makeEvents, readEvents } from "./lab-events.js";
import { DIALECTS, markError } from "./lab-filter.js";
import { measure } from "./speed.js";

const SAMPLE = 6;
const MAX_ROWS = 200;
/** What is longer is not edited in the field: browsers lay out the whole text at each key. */
const MAX_EDITABLE = 100_000;
const PREVIEW = 5000;
const PAUSE_MS = 200;
const $ = (id) => document.getElementById(id);
const format = (count) => count.toLocaleString("en");

const texts = Object.fromEntries(Object.entries(DIALECTS).map(([name, { initial }]) => [name, initial]));
let dialect = "sql";
/** All of the events, of which the field may show the start. */
let text = "";
let batch;
let filter;

/** Writes only what has changed, so that a screen reader does not read it again. */
function write(id, value) {
  if ($(id).textContent !== value) $(id).textContent = value;
}

function showProblem(field, problem) {
  write(`${field}-error`, problem);
  if (problem) $(field).setAttribute("aria-invalid", "true");
  else $(field).removeAttribute("aria-invalid");
}

// ------------------------------------------------------------------------------------------------- fields

function setText(wanted) {
  text = wanted;
  const isEditable = text.length <= MAX_EDITABLE;
  $("lab-events").value = isEditable ? text : text.slice(0, PREVIEW);
  $("lab-events").readOnly = !isEditable;
  write("lab-preview", isEditable ? "" : `The first ${format(PREVIEW)} of ${format(text.length)} characters.`);
  update();
}

function readFields() {
  batch = undefined;
  filter = undefined;
  try {
    const { batch: read, rejected } = readEvents(text);
    batch = read;
    const [first] = rejected;
    const count = rejected.length === 1 ? "1 event is" : `${format(rejected.length)} events are`;
    showProblem("lab-events", first ? `${count} left out. Event ${first.index}: ${first.error.message}` : "");
  } catch (error) {
    showProblem("lab-events", error.message);
  }
  const expression = $("lab-filter").value;
  try {
    filter = DIALECTS[dialect].compile(expression);
    showProblem("lab-filter", "");
    write("lab-filter-mark", "");
  } catch (error) {
    showProblem("lab-filter", error.message);
    write("lab-filter-mark", markError(expression, error.message));
  }
  if (filter) write("lab-code", codeOf(expression));
}

// ------------------------------------------------------------------------------------------------ results

function update() {
  readFields();
  $("lab-measure").disabled = !batch?.length || !filter;
  if (!batch || !filter) {
    write("lab-result", "");
    write("lab-time", "");
    $("lab-rows").replaceChildren();
    return;
  }
  const start = performance.now();
  const kept = batch.filter(filter);
  const took = performance.now() - start;
  write("lab-result", `${format(kept.length)} of ${format(batch.length)} events match.`);
  write("lab-time", `Filtered in ${took < 0.1 ? "less than 0.1" : took.toFixed(1)} ms.`);
  $("lab-rows").replaceChildren(...rows());
}

function rows() {
  const shown = [];
  for (let at = 0; at < Math.min(batch.length, MAX_ROWS); at++) {
    const event = batch.at(at);
    const { value, errors } = filter.evaluate(event);
    const isMatch = value === true && errors.length === 0;
    const row = document.createElement("li");
    row.dataset.match = String(isMatch);
    row.textContent = [isMatch ? "✓" : "–", event.id, event.type, event.source, ...errors].join("  ");
    shown.push(row);
  }
  if (batch.length > MAX_ROWS) {
    const rest = document.createElement("li");
    rest.textContent = `and ${format(batch.length - MAX_ROWS)} more`;
    shown.push(rest);
  }
  return shown;
}

function codeOf(expression) {
  return `import { EventBatch, Filter, toBatch } from "eventferry/cloudevents";

const filter = ${DIALECTS[dialect].code(expression)};
const kept = EventBatch.parse(body).filter(filter);
await fetch(url, { method: "POST", ...toBatch(kept) });`;
}

async function showSpeed() {
  $("lab-measure").disabled = true;
  write("lab-speed-status", "Measuring.");
  try {
    const { events, kilobytes, results } = await measure(batch, filter);
    for (const { id, ms, times, problem } of results) {
      const [time, rate, ratio] = $(`speed-${id}`).querySelectorAll("td");
      time.textContent = problem ? "–" : ms.toPrecision(3);
      rate.textContent = problem ? "–" : format(Math.round(events / ms) * 1000);
      ratio.textContent = problem ?? times.toFixed(2);
    }
    write("lab-speed-status", `Measured with ${format(events)} events, ${format(kilobytes)} KB.`);
  } catch (error) {
    write("lab-speed-status", error.message);
  } finally {
    $("lab-measure").disabled = !batch?.length || !filter;
  }
}

// --------------------------------------------------------------------------------------------------- start

export function startLab() {
  let timer;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(update, PAUSE_MS);
  };
  $("lab-filter").value = texts[dialect];
  $("lab-filter").addEventListener("input", later);
  $("lab-events").addEventListener("input", () => {
    text = $("lab-events").value;
    later();
  });
  $("lab-dialect").addEventListener("change", () => {
    texts[dialect] = $("lab-filter").value;
    dialect = $("lab-dialect").value;
    $("lab-filter").value = texts[dialect];
    update();
  });
  $("lab-sample").addEventListener("click", () => setText(makeEvents(SAMPLE)));
  for (const count of [1000, 10_000]) $(`lab-${count}`).addEventListener("click", () => setText(makeEvents(count)));
  $("lab-file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    setText(await file.text());
    // The same file may be chosen again.
    target.value = "";
  });
  $("lab-measure").addEventListener("click", () => void showSpeed());
  setText(makeEvents(SAMPLE));
}
