// Runs a program of the page as a module would run: its imports are loaded, and what it writes to the console is shown.

/** What a program may import. Each is loaded when it is first needed. */
const MODULES = {
  eventferry: () => import("eventferry"),
  "eventferry/cloudevents": () => import("eventferry/cloudevents"),
  "eventferry/outbox": () => import("eventferry/outbox"),
  "eventferry/glassflow": () => import("eventferry/glassflow"),
  "eventferry/bc-events": () => import("eventferry/bc-events"),
  "eventferry/salesforce": () => import("eventferry/salesforce"),
  "eventferry/events-protocol": () => import("eventferry/events-protocol"),
  "eventferry/testing": () => import("eventferry/testing"),
};
/** Loads what programs may import, so that it is there without a network. */
export const loadAll = () => Promise.allSettled(Object.values(MODULES).map((load) => load()));

const IMPORT = /^import\s*\{([^}]*)\}\s*from\s*["']([^"']+)["'];?/gm;
const TIMEOUT_MS = 20_000;
const AsyncFunction = (async () => undefined).constructor;

/** The names and modules that a program imports, and the program without its imports. */
export function splitImports(code) {
  const imports = [...code.matchAll(IMPORT)].map(([, names, specifier]) => ({ names: names.trim(), specifier }));
  return { imports, body: code.replace(IMPORT, "") };
}

/**
 * @param code the program: its imports are at the start of lines and in braces
 * @param write is given each line that the program writes
 */
export async function run(code, write) {
  const { imports, body } = splitImports(code);
  const names = [];
  const values = [];
  for (const { names: wanted, specifier } of imports) {
    const load = MODULES[specifier];
    if (!load) throw new Error(`this page has no ${specifier}; it has ${Object.keys(MODULES).join(", ")}`);
    const module = await load();
    for (const item of wanted
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean)) {
      const [name, as = name] = item.split(/\s+as\s+/);
      if (!(name in module)) throw new Error(`${specifier} has no ${name}`);
      names.push(as);
      values.push(module[name]);
    }
  }
  const log = (...items) => write(items.map(show).join(" "));
  const console = { log, info: log, warn: log, error: log, debug: log };
  const program = new AsyncFunction("console", ...names, `"use strict";\n${body}`);
  let timer;
  const tooLong = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the program ran for more than ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS);
  });
  try {
    await Promise.race([program(console, ...values), tooLong]);
  } finally {
    clearTimeout(timer);
  }
}

/** A value as one line. */
function show(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
