// Runs the CloudEvents cases in real browsers, whose engines, JSON and TextDecoder are not those of Node.
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
tally.finish();

async function inBrowser(engine) {
  let results = [];
  await tally.check(`the cases load in ${engine}`, async () => {
    const server = await serve({ "/tests/": join(root, "tests"), "/dist/": join(root, "dist"), "/cases.json": cases });
    try {
      const browser = await start(engine);
      try {
        await browser.open(`${server.url}tests/js/browser-cases.html`);
        results = await browser.evaluate("return await globalThis.report;");
        if (results?.length !== expected)
          throw new Error(`the page returned ${results?.length ?? "no"} results for ${expected} cases`);
        return `${results.length} cases in ${browser.name}`;
      } finally {
        await browser.close();
      }
    } finally {
      await server.close();
    }
  });
  const broken = results.filter(({ problem }) => problem !== undefined);
  for (const { id, problem } of broken) console.log(`✗ ${engine}: ${id}: ${problem}`);
  const passed = results.length - broken.length;
  if (passed > 0) console.log(countLine(`cloudevents in ${engine}`, passed));
  tally.add({ passed, failed: broken.length });
}
