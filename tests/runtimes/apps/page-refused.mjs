// A page whose content security policy forbids WebAssembly: each call throws an error that names the directive, nothing is
// stored, and the page continues.
import { CloudEvent, isFerryError, isSupported, Publisher } from "eventferry";

const problems = [];
const CALLS = {
  "an event is read": () => CloudEvent.fromJSON('{"specversion":"1.0","id":"1","source":"/s","type":"t"}'),
  "a publisher is made": () => new Publisher({ url: "https://example.com/events", outbox: { store: "auto" } }),
};
globalThis.report = report();

async function report() {
  const before = await stored();
  if (isSupported()) problems.push("isSupported() is true");
  for (const [name, call] of Object.entries(CALLS)) {
    check(name, call);
    check(`${name} again`, call);
  }
  const after = await stored();
  if (after !== before) problems.push(`${after} is stored, and before ${before}`);
  return { checks: 6, problems };
}

function check(name, call) {
  try {
    call();
    problems.push(`${name}: WebAssembly worked in spite of the policy`);
  } catch (error) {
    if (!isFerryError(error, "ERR_WASM_INIT") || !error.cause || !error.message.includes("'wasm-unsafe-eval'"))
      problems.push(`${name}: threw ${error?.code}: ${error?.message ?? error}`);
  }
}

/** The names of what the page has stored. */
async function stored() {
  const databases = await indexedDB.databases();
  return JSON.stringify([...databases.map(({ name }) => name), ...Object.keys(localStorage)].sort());
}
