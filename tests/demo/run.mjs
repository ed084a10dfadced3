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

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const program = fileURLToPath(new URL("../../js/cli/eventferry.mjs", import.meta.url));
const [engines = ENGINES.join()] = process.argv.slice(2);
const LISTENING = /http:\/\/127\.0\.0\.1:\d+(?=[^]*Ctrl-C)/;

/** At the start of each script in the page. */
const HELPERS = `
  const counts = () => Object.fromEntries([...document.querySelectorAll("[data-count]")].map((cell) =>
    [cell.dataset.count, Number(cell.textContent.replaceAll(",", ""))]));
  const $ = (id) => document.getElementById(id);
  const until = async (condition, what = condition) => {
    for (let tries = 0; tries < 600; tries++) {
      const result = await condition();
      if (result) return result;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error("not in 30 s: " + what + " " + JSON.stringify(counts()));
  };
  const network = (mode) => document.querySelector('input[name="network"][value="' + mode + '"]').click();
`;

const tally = new Tally();
for (const engine of engines.split(",")) {
  const { match, stop } = await startServer(`${process.execPath} ${program} demo --port=0`, LISTENING);
  const url = `${match[0]}/`;
  const browser = await start(engine);
  const page = (body, ...args) => browser.evaluate(HELPERS + body, ...args);
  const check = (name, run) => tally.check(`${engine}: ${name}`, run);
  try {
    await check("the first event is on the screen soon after the load", async () => {
      await browser.open(url);
      return `${await page("await until(() => $('log').childElementCount > 0); return Math.round(performance.now());")} ms`;
    });
    await check("offline, plain fetch loses events and the outbox keeps them; online again, all arrive", async () => {
      const offline = await page(`
        network("offline");
        await until(() => counts().waiting >= 5 && counts().fetchLost >= 5);
        return counts();
      `);
      assert.equal(offline.lost, 0);
      const online = await page(`
        network("online");
        $("run").click();
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
          const before = counts().accepted;
          $("run").click();
          await until(() => counts().accepted >= before + 5);
          $("run").click();
          if (arguments[0] !== "slow") await new Promise((resolve) => setTimeout(resolve, 1000));
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
        $("run").click();
        await until(() => counts().waiting >= 5);
        $("run").click();
      `);
      await browser.open(url);
      const after = await page(`
        $("run").click();
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
        await until(() => counts().accepted > 0 && /tab sends/.test($("store").textContent));
        $("run").click();
        await until(() => counts().waiting === 0 && counts().delivered >= counts().accepted);
        return [$("store").textContent, counts().delivered, counts().lost];
      `);
      await browser.closeTab();
      await browser.switchTo(first);
      const [store, delivered, lost] = await page(
        `
        await until(() => counts().delivered >= arguments[0]);
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
    if (engine !== "chrome") continue;
    await check("nothing is wider than the page, from 380 to 1,400 px", async () => {
      for (const width of [380, 800, 1400]) {
        const screen = { width, height: 800, deviceScaleFactor: 1, mobile: false };
        await browser.devTools("Emulation.setDeviceMetricsOverride", screen);
        const wide = await page("return document.documentElement.scrollWidth - document.documentElement.clientWidth;");
        assert.equal(wide, 0, `${width} px`);
      }
    });
    await check("the page opens without a network after the first visit", async () => {
      await page(
        "await until(async () => (await caches.keys()).length > 0 && (await (await caches.open('eventferry-demo')).keys()).length > 40);",
      );
      await stop();
      await browser.open(url);
      await page("await until(() => $('log').childElementCount > 0);");
    });
  } finally {
    await browser.close();
    await stop();
  }
}
tally.finish();
