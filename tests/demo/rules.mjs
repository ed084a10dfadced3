// What holds for the whole page: guides and copies, quiet live regions, no console error, no layout shift, reduced motion.
import assert from "node:assert/strict";
import { start } from "../browser.mjs";
import { HELPERS } from "./helpers.mjs";

const SHIFT_MS = 5000;
const MAX_SHIFT = 0.01;

export async function checkRules({ page, check }) {
  await check("each panel links to its guide and has its code to copy", async () => {
    const panels = await page(`
      return Promise.all([...document.querySelectorAll(".panel")].map(async (panel) => {
        const guides = [...panel.querySelectorAll('a[href^="docs/"]')];
        const answers = await Promise.all(guides.map(({ href }) => fetch(href)));
        const copies = [...panel.querySelectorAll("button")].filter((button) => button.textContent === "Copy");
        const code = panel.querySelector("textarea.code:not([id^=lab]), pre[id$=code]");
        return [panel.id, guides.length > 0 && answers.every(({ ok }) => ok), copies.length, (code.value ?? code.textContent).length > 100];
      }));
    `);
    assert.deepEqual(
      panels.map(([id]) => id),
      ["picture", "systems", "lab", "hook"],
    );
    for (const [id, ...found] of panels) assert.deepEqual(found, [true, 1, true], id);
  });
  await check("a copy has the text of the code, or selects it", async () => {
    const [label, selected, code] = await page(`
      document.querySelector("#picture details").open = true;
      const button = document.querySelector('[data-copy="picture-code"]');
      button.click();
      await until(() => button.textContent !== "Copy");
      return [button.textContent, String(getSelection()), $("picture-code").textContent];
    `);
    if (label === "Selected") assert.equal(selected.trim(), code.trim());
    else assert.equal(label, "Copied");
    return label;
  });
  await check("no live region changes while events are sent", async () => {
    const changed = await page(`
      network("online");
      sending(true);
      const before = counts().accepted;
      const changed = [];
      const describe = ({ target }) => (target.id ?? target.parentNode.id) + ": " + target.textContent;
      const observer = new MutationObserver((records) => changed.push(...records.map(describe)));
      await until(() => counts().accepted >= before + 5);
      const regions = document.querySelectorAll("[role=status], [role=alert], [role=log], [aria-live]");
      if (regions.length < 5) throw new Error("only " + regions.length + " live regions");
      for (const region of regions) observer.observe(region, { childList: true, characterData: true, subtree: true });
      await until(() => counts().accepted >= before + 25);
      observer.disconnect();
      sending(false);
      return changed;
    `);
    assert.deepEqual(changed, []);
  });
}

/** What holds for the console, which has to be watched from the start. */
export async function checkConsole({ browser, page, check }) {
  await check("no error is in the console", async () => {
    await page("console.error('planted');");
    const errors = [];
    // Some browsers hand it over a moment later.
    for (let tries = 0; tries < 100 && errors.length === 0; tries++) {
      errors.push(...(await browser.consoleErrors()));
      if (errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(errors.length, 1, errors.join("\n"));
    assert.match(errors[0], /planted/);
  });
}

/** In Firefox and WebKit a browser is started with the preference. */
export async function checkReducedMotion(engine, url, check) {
  await check("nothing is animated for those who prefer reduced motion", async () => {
    for (const reducedMotion of [false, true]) {
      const browser = await start(engine, { reducedMotion });
      try {
        await browser.open(url);
        const [isReduced, animations] = await browser.evaluate(`${HELPERS}
          await until(() => counts().delivered > 0);
          return [matchMedia("(prefers-reduced-motion: reduce)").matches, document.getAnimations().length];
        `);
        assert.equal(isReduced, reducedMotion);
        assert.equal(animations === 0, reducedMotion, `${animations} animations`);
      } finally {
        await browser.close();
      }
    }
  });
}

/** What is asked of Chromium alone, which has the DevTools protocol and tells of layout shifts. */
export async function checkChromiumRules({ browser, page, check, url }) {
  await check("nothing moves on the page while it loads and events arrive", async () => {
    const sums = [];
    for (const width of [380, 1400]) {
      await setWidth(browser, width);
      await browser.open(url);
      const shifts = await page(
        `
        const shifts = [];
        const observer = new PerformanceObserver((list) => shifts.push(...list.getEntries()));
        observer.observe({ type: "layout-shift", buffered: true });
        await until(() => performance.now() > arguments[0] && counts().accepted > 0 && $("log").childElementCount > 2);
        return shifts.map(({ value, sources }) => [value, sources.map(({ node }) => node?.id || node?.nodeName).join()]);
      `,
        SHIFT_MS,
      );
      const sum = shifts.reduce((total, [value]) => total + value, 0);
      assert.ok(sum < MAX_SHIFT, `${width} px: ${JSON.stringify(shifts)}`);
      sums.push(sum.toFixed(4));
    }
    return sums.join(" and ");
  });
  await check("nothing is animated for those who prefer reduced motion", async () => {
    const animations = "return document.getAnimations().length;";
    const prefer = (value) =>
      browser.devTools("Emulation.setEmulatedMedia", { features: [{ name: "prefers-reduced-motion", value }] });
    await prefer("no-preference");
    assert.ok((await page(animations)) > 0);
    await prefer("reduce");
    assert.equal(await page(animations), 0);
    await prefer("no-preference");
  });
}

function setWidth(browser, width) {
  return browser.devTools("Emulation.setDeviceMetricsOverride", {
    width,
    height: 800,
    deviceScaleFactor: 1,
    mobile: false,
  });
}
