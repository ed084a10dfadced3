// The CloudEvents cases in real browsers: another engine, another JSON, another TextDecoder than Node's.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ENGINES, start } from "../browser.mjs";
import { serve } from "../serve.mjs";
import { Skip, Tally } from "../tally.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const cases = join(root, "../shared/cases/cloudevents_cases.json");

const tally = new Tally();
for (const engine of ENGINES) await inBrowser(engine);
tally.finish();

async function inBrowser(engine) {
  let results = [];
  await tally.check(`the cases load in ${engine}`, async () => {
    if (!existsSync(cases)) throw new Skip("there is no ../shared/cases beside the repository");
    const server = await serve({ "/tests/": join(root, "tests"), "/dist/": join(root, "dist"), "/cases.json": cases });
    try {
      const browser = await start(engine);
      try {
        await browser.open(`${server.url}tests/js/browser-cases.html`);
        results = await browser.evaluate("return await globalThis.report;");
        if (!results?.length)
          throw new Error("the page gave no results; the package did not load, or there are no cases");
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
  tally.add({ passed: results.length - broken.length, failed: broken.length });
}
