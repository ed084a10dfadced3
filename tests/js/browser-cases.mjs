// Runs the CloudEvents cases in real browsers, whose engines, JSON and TextDecoder are not those of Node, and hands texts over
// as only browsers do.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ENGINES, start } from "../browser.mjs";
import { serve } from "../serve.mjs";
import { Tally } from "../tally.mjs";
import { countLine, readCases, vectorPath } from "../vectors.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const cases = fileURLToPath(vectorPath("cloudevents_cases"));
// Read here as well, so that a missing file and a page with fewer cases are failures.
const expected = readCases("cloudevents_cases").length;

const tally = new Tally();
for (const engine of ENGINES) await inBrowser(engine);
for (const engine of ENGINES) await asciiTexts(engine);
tally.finish();

/** Opens a page of this folder and returns what its `report` resolves with. */
async function reportOf(engine, page) {
  const server = await serve({ "/tests/": join(root, "tests"), "/dist/": join(root, "dist"), "/cases.json": cases });
  try {
    const browser = await start(engine);
    try {
      await browser.open(`${server.url}tests/js/${page}`);
      return { name: browser.name, report: await browser.evaluate("return await globalThis.report;") };
    } finally {
      await browser.close();
    }
  } finally {
    await server.close();
  }
}

async function asciiTexts(engine) {
  await tally.check(`ASCII texts are copied into the memory of a module in ${engine}`, async () => {
    const { name, report } = await reportOf(engine, "browser-texts.html");
    if (!report && engine === "webkit") return `${name} has no string builtins`;
    if (!report) throw new Error("the browser has no string builtins");
    if (report.length > 0) throw new Error(`${report.length} texts differ, the first is ${JSON.stringify(report[0])}`);
    return name;
  });
}

async function inBrowser(engine) {
  let results = [];
  await tally.check(`the cases load in ${engine}`, async () => {
    const { name, report } = await reportOf(engine, "browser-cases.html");
    if (report?.length !== expected)
      throw new Error(`the page returned ${report?.length ?? "no"} results for ${expected} cases`);
    results = report;
    return `${report.length} cases in ${name}`;
  });
  const broken = results.filter(({ problem }) => problem !== undefined);
  for (const { id, problem } of broken) console.log(`✗ ${engine}: ${id}: ${problem}`);
  const passed = results.length - broken.length;
  if (passed > 0) console.log(countLine(`cloudevents in ${engine}`, passed));
  tally.add({ passed, failed: broken.length });
}
