// Checks the stores of browsers in the browsers.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ENGINES, start } from "../browser.mjs";
import { serve } from "../serve.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** @param addResults takes a name and the results of checks */
export async function browsers(tally, addResults) {
  for (const engine of ENGINES) {
    await tally.check(`the stores load in ${engine}`, async () => {
      const server = await serve({ "/tests/": join(root, "tests"), "/dist/": join(root, "dist") });
      const browser = await start(engine).catch(async (error) => {
        await server.close();
        throw error;
      });
      try {
        await browser.open(`${server.url}tests/stores/page.html`);
        const parts = await browser.evaluate(
          "while (!globalThis.report) await new Promise((next) => setTimeout(next, 20)); return Object.keys(globalThis.report);",
        );
        for (const part of parts) {
          addResults(
            `${engine}, ${part}`,
            await browser.evaluate("return await globalThis.report[arguments[0]]();", part),
          );
        }
        return browser.name;
      } finally {
        await browser.close();
        await server.close();
      }
    });
  }
}
