// Compares the README and the pages of www/docs with the code: their tables, names, links and limits. `readme.test.mjs` runs
// their blocks.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { llmsTexts } from "../../js/build/llms.mjs";
import { markdownTable } from "../bench/markdown.mjs";
import { APPS, measure } from "../../js/build/size.mjs";
import { PAGES, read } from "./doc-blocks.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const manifest = JSON.parse(read("package.json"));
const readme = PAGES.get("README.md");
const page = (name) => PAGES.get(`www/docs/${name}.md`);
const all = [...PAGES.values()].join("\n");
/** The pages without their code blocks. */
const prose = new Map([...PAGES].map(([path, text]) => [path, text.replace(/^```.*?^```$/gms, "")]));

test("the README fits on one screen, and there is a page for each subject", () => {
  assert.ok(Buffer.byteLength(readme) <= 9 * 1024, `the README has ${Buffer.byteLength(readme)} bytes`);
  assert.ok(PAGES.size >= 21, `there are ${PAGES.size - 1} pages`);
  for (const [path, text] of PAGES) {
    assert.match(text, /^# \S.*\n\n(?!```|[#|<\n])/, `${path} begins with a title and a paragraph`);
    assert.equal(prose.get(path).match(/^# /gm).length, 1, `${path} has one title`);
    assert.equal((text.match(/^```/gm) ?? []).length % 2, 0, `${path}: each block has an end`);
  }
});

/** The anchors of a page as GitHub makes them. */
function anchorsOf(text) {
  const seen = new Map();
  return new Set(
    [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, title]) => {
      const slug = title
        .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replace(/\s/g, "-");
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      return count === 0 ? slug : `${slug}-${count}`;
    }),
  );
}

test("every link to a file or a heading leads there", () => {
  const links = [...prose].flatMap(([path, text]) =>
    [...text.matchAll(/\]\((?!\w+:)([^)\s]*)\)/g)].map(([, target]) => [path, target]),
  );
  assert.ok(links.length > 50);
  for (const [path, target] of links) {
    const [file, anchor] = target.split("#");
    const to = file === "" ? path : normalize(join(dirname(path), file));
    assert.ok(existsSync(join(root, to)), `${path}: there is no ${to}`);
    if (anchor !== undefined && to.endsWith(".md"))
      assert.ok(anchorsOf(PAGES.get(to) ?? read(to)).has(anchor), `${path}: ${to} has no heading #${anchor}`);
  }
});

test("the files for language models have every page", () => {
  const { "llms.txt": list, "llms-full.txt": full } = llmsTexts();
  for (const [path, text] of PAGES) {
    if (path === "www/docs/index.md") continue;
    assert.ok(full.includes(text.trimEnd()), path);
    if (path !== "README.md") assert.match(list, new RegExp(`^- \\[.+\\]\\(${path}\\): .{20,}\\.$`, "m"), path);
  }
});

test("every link of the README is in the package", () => {
  const shipped = ["LICENSE", "README.md", "package.json", ...manifest.files];
  for (const [, target] of readme.matchAll(/\]\((?!\w+:)([^)#\s]+)[^)]*\)/g))
    assert.ok(
      shipped.some((file) => target === file || target.startsWith(`${file}/`)),
      `${target} is in the package`,
    );
});

test("the errors page has each code of the table, and nothing else", () => {
  const rows = [
    ...read("js/engine/generated/tables.ts").matchAll(
      /^ {2}\["(ERR_\w+)", "(\w+)", (true|false), "((?:[^"\\]|\\.)*)"\],$/gm,
    ),
  ];
  const codes = new Set(read("js/engine/generated/tables.ts").match(/ERR_\w+/g));
  assert.equal(rows.length, codes.size, "the table of js/engine/generated/tables.ts can be read");
  const errors = page("errors");
  const shown = [...errors.matchAll(/^### (ERR_\w+)\n\n(.*)\n\nCulprit: (\w+)\. Retryable: (yes|no)\.\n\n(.*)$/gm)];
  assert.deepEqual(
    shown.map(([, code, sentence, culprit, retryable]) => [code, sentence, culprit, retryable]),
    rows.map(([, code, culprit, retryable, sentence]) => [
      code,
      `${sentence[0].toUpperCase()}${sentence.slice(1)}.`,
      culprit,
      retryable === "true" ? "yes" : "no",
    ]),
  );
  for (const [, code, , , , advice] of shown) assert.ok(advice.length > 30, `${code} says what to do`);
  for (const [path, text] of PAGES)
    for (const code of text.match(/ERR_[A-Z_]+[A-Z]/g) ?? [])
      assert.ok(codes.has(code), `${path}: there is no ${code}`);
  const culprits = new Set(rows.map(([, , culprit]) => culprit));
  for (const culprit of culprits) assert.match(errors, new RegExp(`^\\| \`${culprit}\` \\|`, "m"), culprit);
});

test("every name that a page imports is there", async () => {
  const imports = [...all.matchAll(/import (?:{([^}]*)}|\w+) from "(eventferry[^"]*)"/g)];
  assert.ok(imports.length >= 30);
  for (const [statement, names, specifier] of imports) {
    const subpath = `.${specifier.replace(/\?.*/, "").slice("eventferry".length)}`;
    assert.ok(subpath in manifest.exports, `${statement}: the package has no ${specifier}`);
    if (names === undefined) continue;
    const module = await import(specifier);
    for (const name of names
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "" && !name.startsWith("type ")))
      assert.ok(name.split(" as ")[0] in module, `${specifier} has no ${name}`);
  }
  const firstCells = [...page("runtimes").matchAll(/^\| (`eventferry.*?) \|/gm)].map(([, cell]) => cell);
  const entries = firstCells
    .flatMap((cell) => cell.split("; "))
    .map((entry) => entry.replaceAll("`", "").replace("eventferry", "."));
  assert.deepEqual(
    entries.sort(),
    Object.keys(manifest.exports)
      .filter((entry) => entry !== "./package.json" && !entry.startsWith("./wasm/"))
      .sort(),
  );
});

test("every function that a page names is there", async () => {
  const api = {
    ...(await import("eventferry")),
    ...(await import("eventferry/node")),
    ...(await import("eventferry/lambda")),
    ...(await import("eventferry/testing")),
    ...(await import("eventferry/slim")),
  };
  const members = new Set(
    Object.values(api)
      .filter((value) => value.prototype)
      .flatMap(({ prototype }) => Object.getOwnPropertyNames(prototype)),
  );
  const named = [...all.matchAll(/`((?:to|from|batchFrom)[A-Z]\w*)[`(]/g)].map(([, name]) => name);
  assert.ok(named.length > 5);
  for (const name of named) assert.ok(name in api || members.has(name), `there is no ${name}`);
});

test("CONTRIBUTING.md answers ten questions with files that are there", () => {
  const contributing = read("CONTRIBUTING.md");
  const [, table] = /^## I want to change …\n(.*?)^## /ms.exec(contributing);
  const rows = table.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| I want"));
  assert.ok(rows.length >= 10);
  for (const row of rows) {
    const [, , file, tested] = row.split("|");
    for (const cell of [file, tested]) assert.match(cell, /`[\w./-]+`/, row);
  }
  const quoted = [...contributing.matchAll(/`((?:src|js|tests|www)\/[\w./-]+)`/g)].map(([, path]) => path);
  const linked = [...contributing.matchAll(/\]\((?!\w+:)([^)#\s]+)/g)].map(([, path]) => path);
  for (const path of [...quoted, ...linked]) assert.ok(existsSync(join(root, path)), `there is no ${path}`);
});

test("every script and file that a page names is there", () => {
  const scripts = [...all.matchAll(/`npm (?:run ([\w:]+)|(test))/g)].map(([, name, test]) => name ?? test);
  assert.ok(scripts.length >= 5);
  for (const name of scripts) assert.ok(name in manifest.scripts, `there is no npm run ${name}`);
  const quoted = [...all.matchAll(/`((?:src|js|tests|www)\/[\w./-]+)`/g)].map(([, path]) => path);
  for (const path of quoted) assert.ok(existsSync(join(root, path)), `there is no ${path}`);
});

test("no page has a sentence that the language of the project has replaced", () => {
  const replaced = [
    /who can mend/i,
    /nothing dropped that was taken/i,
    /take it when/i,
    /\bmind\b/i,
    /random rest/i,
    /`Retry-After` is kept/,
    /a page that ends/i,
    /\bin lots of\b/i,
    /\bparted\b/i,
    /when the link works/i,
    /has go wrong/i,
    /whoever starts us/i,
    /somebody else sends from now on/i,
    /none that a URL can carry/i,
    /the platform makes no Request/i,
    /takes a class of errors or a function that picks them/i,
    // Words of the old dialect.
    /\bpatience\b|\bbasket\b|\bshelf\b|\bburied?\b|\bexhume/i,
    /\brestMs\b|\bpatienceMs\b/,
    /otherwise than in/i,
    /\btells of (?:it|them)\b/i,
    /\bhears of\b/i,
    /\bstands for all\b/i,
    /\bhands? (?:it|each|them|each event) on\b/i,
    /\bmends? (?:it|them)sel(?:f|ves)\b/i,
    /\b(?:its|stored|a) marks?\b/i,
  ];
  for (const [path, text] of [...prose, ["CHANGELOG.md", read("CHANGELOG.md")]]) {
    for (const sentence of replaced) assert.doesNotMatch(text, sentence, path);
  }
});

test("the places for figures are there, once each and in order", () => {
  const performance = page("performance");
  for (const name of ["bench", "workloads", "size"])
    assert.match(performance, new RegExp(`^<!-- ${name} -->\\n[^]*?^<!-- /${name} -->$`, "m"));
  for (const mark of ["bench", "workloads", "size"].flatMap((name) => [`<!-- ${name} -->`, `<!-- /${name} -->`]))
    assert.equal(performance.split(mark).length, 2);
});

test("the figures of a benchmark are written as a table with a row for each workload", () => {
  const rows = (overSdk, overPlain) => [{}, {}, { overSdk, overPlain }];
  const results = {
    node: [{ title: "decode", rows: rows({ median: 59.87, spread: 4.6 }, { median: 2.444, spread: 7 }) }],
    firefox: [],
  };
  assert.equal(
    markdownTable(results),
    "| | Node | Firefox |\n| --- | --- | --- |\n| decode | 59.9 ±5 % / 2.44 ±7 % | – |\n",
  );
});

test("the sizes that the README and the performance page name are those of today, within a tenth", async () => {
  const rows = [...readme.matchAll(/^\|[^|]*\| `(eventferry\/[\w-]+)` \|.*\| (\d+) KB \|$/gm)];
  assert.equal(rows.length, 8);
  const [, whole] = /\((\d+) KB\)/.exec(readme);
  for (const [specifier, shown] of [...rows.map(([, name, size]) => [name, size]), ["eventferry", whole]]) {
    const { brotli } = await measure({ code: `import * as all from "${specifier}"; console.log(all);` });
    close(specifier, shown, brotli);
  }
  const { brotli } = await measure(APPS[0]);
  close("the README", /\(brotli\) \| ([\d.]+) KB/.exec(readme)[1], brotli);
  const shown = [...page("performance").matchAll(/^\| .*`(eventferry\/?[\w-]*)` \| ([\d.]+) KB \| ([\d.]+) KB \|$/gm)];
  assert.ok(shown.length >= 3);
  for (const [row, , shownBrotli, shownGzip] of shown) {
    const [, names, specifier] = /(?:`{ (.*?) }`|everything) from `(.*?)`/.exec(row);
    const code = names
      ? `import { ${names} } from "${specifier}"; console.log(${names});`
      : `import * as all from "${specifier}"; console.log(all);`;
    const size = await measure({ code });
    close(row, shownBrotli, size.brotli);
    close(row, shownGzip, size.gzip);
  }
});

function close(what, shown, bytes) {
  const kilobytes = bytes / 1000;
  assert.ok(
    Math.abs(Number(shown) - kilobytes) <= kilobytes / 10,
    `${what}: ${shown} KB is shown, ${kilobytes.toFixed(1)} KB is measured`,
  );
}

test("the answers of the events protocol are those of the code", () => {
  const server = read("src/events_protocol/server.rs");
  const rows = [...page("events-protocol").matchAll(/^\| (?:that|with|whose) .*\| (.*?) \| (.*?) \|$/gm)];
  const codes = rows.flatMap(([, , cell]) => cell.match(/[A-Z]+(?:_[A-Z]+)+/g) ?? []);
  assert.deepEqual(
    [...new Set(codes)].sort(),
    [...new Set([...server.matchAll(/"\\"([A-Z_]+)\\""/g)].map(([, code]) => code))].sort(),
  );
});

test("the limits are those of the code", () => {
  const MIB = 1024 * 1024;
  const number = (path, pattern) => Function(`return ${pattern.exec(read(path))[1].replaceAll("_", "")}`)();
  const limits = [
    ["128 MiB", 128 * MIB, number("js/engine/text-module.ts", /MAX_INPUT_BYTES = ([\w]+)/)],
    ["16 MiB", 16 * MIB, number("js/systems/cloudevents/body.ts", /DEFAULT_MAX_BYTES = ([\d* ]+)/)],
    ["1 MiB", MIB, number("js/systems/cloudevents/webhook-options.ts", /DEFAULT_MAX_BYTES = ([\d* ]+)/)],
    ["1 MiB", MIB, number("js/systems/events-protocol/processor-options.ts", /const MIB = ([\d* ]+)/)],
    ["100", 100, number("js/systems/events-protocol/schema.ts", /MAX_FIELDS = (\d+)/)],
    ["16 KiB", 16 * 1024, number("js/systems/events-protocol/client.ts", /MAX_ERROR_BODY_BYTES = ([\d* ]+)/)],
    ["512", 512, number("src/base/json/scan.rs", /MAX_DEPTH: usize = (\d+)/)],
    ["128", 128, number("src/cloudevents/table.rs", /MAX_EXTENSIONS: usize = (\d+)/)],
    ["64 MiB", 64, number("src/bayeux/session/types.rs", /max_response_bytes: (\d+) << 20/)],
    [
      "64 KiB, Salesforce 32 KiB",
      65_536 + 32_768,
      number("src/bayeux/session/types.rs", /max_request_bytes: ([\d_]+)/) +
        number("src/salesforce/client.rs", /max_request_bytes: ([\d_]+)/),
    ],
    ["1 024", 1024, number("src/salesforce/replay.rs", /MAX_RECENT_IDS: usize = (\d+)/)],
    ["16 MiB", 16 * MIB, number("js/systems/glassflow/sink.ts", /DEFAULT_MAX_EVENT_BYTES = ([\d* ]+)/)],
    [
      "64 KiB and 10 MiB",
      64 * 1024,
      number("js/systems/salesforce/proxy/options.ts", /options\.maxRequestBytes, ([\d* ]+)\)/),
    ],
    [
      "64 KiB and 10 MiB",
      10 * MIB,
      number("js/systems/salesforce/proxy/options.ts", /options\.maxResponseBytes, ([\d* ]+)\)/),
    ],
    ["200 bytes", 200, number("src/base/error.rs", /MAX_DETAIL: usize = (\d+)/)],
  ];
  const column = page("limits")
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) => line.split(" | ")[1]);
  for (const [words, promised, actual] of limits) {
    assert.equal(actual, promised, words);
    assert.ok(
      column.some((cell) => cell === words || cell.startsWith(`${words},`)),
      `the table has ${words}`,
    );
  }
});
