// Drives each demonstration of the demo page in Chromium, Firefox and WebKit, and checks the page with axe-core.
//
//   node tests/demo/run.mjs [chrome,firefox,webkit]
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { ENGINES, start } from "../browser.mjs";
import { startServer } from "../server-program.mjs";
import { Tally } from "../tally.mjs";
import { checkFirstEvent } from "./first-event.mjs";
import { HELPERS } from "./helpers.mjs";
import { checkLab } from "./lab.mjs";
import { checkLayout } from "./layout.mjs";
import { checkChromiumRules, checkConsole, checkReducedMotion, checkRules } from "./rules.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const program = fileURLToPath(new URL("../../js/cli/eventferry.mjs", import.meta.url));
/** From here npm cloudevents can be resolved. */
const folder = fileURLToPath(new URL(".", import.meta.url));
const [engines = ENGINES.join()] = process.argv.slice(2);
const LISTENING = /http:\/\/127\.0\.0\.1:\d+(?=[^]*Ctrl-C)/;

const tally = new Tally();
await tally.check("`npm run demo` builds nothing if dist/ is up to date", async () => {
  const demo = fileURLToPath(new URL("../../www/demo.mjs", import.meta.url));
  const { match, stop } = await startServer(`${process.execPath} ${demo} --port=0`, LISTENING);
  await stop();
  assert.doesNotMatch(match.input, /building/);
});
for (const engine of engines.split(",")) {
  const { match, stop } = await startServer(`${process.execPath} ${program} demo --port=0`, LISTENING, { cwd: folder });
  const url = `${match[0]}/`;
  const browser = await start(engine, { seconds: 200, watchConsole: true });
  const page = (body, ...args) => browser.evaluate(HELPERS + body, ...args);
  const check = (name, run) => tally.check(`${engine}: ${name}`, run);
  try {
    await checkFirstEvent({ browser, page, check, url });
    await check("offline, plain fetch loses events and the outbox keeps them; online again, all arrive", async () => {
      const offline = await page(`
        network("offline");
        await until(() => counts().waiting >= 5 && counts().fetchLost >= 5);
        return counts();
      `);
      assert.equal(offline.lost, 0);
      const online = await page(`
        network("online");
        sending(false);
        await until(() => counts().waiting === 0 && counts().delivered === counts().accepted);
        return counts();
      `);
      assert.ok(online.fetchLost >= 5);
      assert.equal(online.lost, 0);
    });
    for (const mode of ["refusing", "lost", "slow"]) {
      await check(`${mode}: what was accepted arrives, each event once`, async () => {
        const { accepted, delivered, lost } = await page(
          `
          network(arguments[0]);
          const before = counts();
          sending(true);
          await until(() => counts().accepted >= before.accepted + 5);
          sending(false);
          if (arguments[0] !== "slow") await until(() => counts().waiting >= 5);
          if (arguments[0] === "lost") await until(() => counts().delivered > before.delivered);
          network("online");
          await until(() => counts().waiting === 0 && counts().delivered >= counts().accepted);
          return counts();
        `,
          mode,
        );
        assert.deepEqual([delivered, lost], [accepted, 0]);
      });
    }
    await check("waiting events outlive a reload", async () => {
      await page(`
        network("offline");
        sending(true);
        await until(() => counts().waiting >= 5);
        sending(false);
      `);
      await browser.open(url);
      const after = await page(`
        sending(false);
        await until(() => counts().waiting >= 5);
        network("online");
        await until(() => counts().waiting === 0 && counts().delivered >= counts().accepted);
        return counts();
      `);
      assert.equal(after.lost, 0);
    });
    await check("of two tabs one sends, and both show the same", async () => {
      const first = await browser.currentTab();
      await browser.newTab();
      await browser.open(url);
      const second = await page(`
        await until(() => counts().accepted > 0 && /Another tab sends/.test($("store").textContent));
        sending(false);
        // With each plain request an event is published. What is not accepted when the tab closes waits for the next visit.
        await until(() => counts().accepted >= counts().sent);
        await until(() => counts().waiting === 0 && counts().delivered >= counts().accepted);
        return [$("store").textContent, counts().delivered, counts().lost];
      `);
      await browser.closeTab();
      await browser.switchTo(first);
      const [store, delivered, lost] = await page(
        `
        await until(() => counts().delivered >= arguments[0] && /This tab sends/.test($("store").textContent));
        return [$("store").textContent, counts().delivered, counts().lost];
      `,
        second[1],
      );
      assert.match(second[0], /Another tab sends/);
      assert.match(store, /This tab sends/);
      // The last event may arrive between the two looks.
      assert.ok(delivered >= second[1]);
      assert.deepEqual([lost, second[2]], [0, 0]);
    });
    await check("an order that the server refuses is a dead letter with its reason, and is replayed", async () => {
      const reason = await page(`
        $("wrong").click();
        await until(() => counts().dead === 1 && $("dead-list").textContent !== "");
        return $("dead-list").textContent;
      `);
      assert.match(reason, /422/);
      const after = await page(`
        $("strict").click();
        $("replay").click();
        await until(() => counts().dead === 0 && counts().waiting === 0 && counts().delivered >= counts().accepted);
        $("strict").click();
        return counts();
      `);
      assert.equal(after.lost, 0);
    });
    await check("the five programs and the signed web hook run, and an error is shown beside its program", async () => {
      const outputs = await page(`
        const run = async (prefix) => {
          $(prefix + "-run").click();
          await until(() => !$(prefix + "-run").disabled, prefix);
          return $(prefix + "-output").textContent + $(prefix + "-error").textContent;
        };
        const outputs = [];
        for (const tab of document.querySelectorAll('[role="tab"]')) {
          tab.click();
          outputs.push(await run("system"));
        }
        outputs.push(await run("hook"));
        $("hook-code").value = "const x = ;";
        outputs.push(await run("hook"));
        $("hook-reset").click();
        return outputs;
      `);
      const last = [
        /source\n$/,
        /a total is a number\n$/,
        /in all: 2\n$/,
        /restart: \d+ 4\n$/,
        /NO_SUCH_USER/,
        /401\n$/,
        /SyntaxError/,
      ];
      for (const [at, pattern] of last.entries()) assert.match(outputs[at], pattern);
      assert.equal(outputs.length, last.length);
    });
    await checkLab({ page, check });
    await checkRules({ page, check });
    await check("axe-core finds nothing", async () => {
      const found = await page(
        `
        (0, eval)(arguments[0]);
        const { violations, passes } = await axe.run(document);
        return [violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join(" ")), passes.length];
      `,
        axe,
      );
      assert.deepEqual(found[0], []);
      return `${found[1]} rules`;
    });
    if (engine === "chrome") await checkChromiumRules({ browser, page, check, url });
    else await checkReducedMotion(engine, url, check);
    await browser.open(url);
    await page("await until(() => document.documentElement.dataset.offline === 'ready');");
    await checkConsole({ browser, page, check });
    await checkLayout({ browser, check, url });
    await check("the page opens without a network after the first visit", async () => {
      await page("await until(() => document.documentElement.dataset.offline === 'ready');");
      await stop();
      await browser.open(url);
      const [result, sizes] = await page(`
        await until(() => $("log").childElementCount > 0 && $("sizes").childElementCount > 0);
        return [$("lab-result").textContent, $("sizes").childElementCount];
      `);
      assert.match(result, /events match/);
      assert.ok(sizes >= 15);
    });
  } finally {
    await browser.close();
    await stop();
  }
}
tally.finish();
