// Builds the site and opens it in Chromium from a server of static files that has nothing else: a page, the search, and the demo.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { start as startBrowser } from "./browser.mjs";
import { runChild } from "./child.mjs";
import { serve } from "./serve.mjs";
import { Tally } from "./tally.mjs";

const SITE = "target/site";
process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));

const tally = new Tally();
await tally.check("the site is built, and has no dead link", async () => {
  const { ok, output, problem } = await runChild(process.execPath, ["www/build-site.mjs"], {
    minutes: 15,
    show: false,
  });
  if (!ok) throw new Error(`${problem}\n${output}`);
});
await tally.check("the pages load nothing from other hosts", () => {
  const pages = readdirSync(SITE, { recursive: true }).filter((name) => name.endsWith(".html"));
  const loading =
    /<(?:script|img|iframe)[^>]*\ssrc="https?:|<link[^>]*\srel="(?:stylesheet|preload|modulepreload|icon)"[^>]*\shref="https?:/;
  const loads = pages.filter((name) => loading.test(readFileSync(join(SITE, name), "utf8")));
  if (loads.length > 0) throw new Error(loads.join(", "));
  return `${pages.length} pages`;
});

const server = await serve({ "/": SITE });
const browser = await startBrowser("chrome");
try {
  await tally.check("the search finds a page by words of its title", async () => {
    await browser.open(`${server.url}index.html`);
    const found = await browser.evaluate(`
      const until = async (find) => {
        for (let tries = 0; tries < 300; tries++) {
          const found = find();
          if (found) return found;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        throw new Error("not found on the page: " + find);
      };
      (await until(() => document.querySelector(".DocSearch-Button, .VPNavBarSearchButton"))).click();
      const input = await until(() => document.querySelector(".VPLocalSearchBox input"));
      input.value = "durable replay";
      input.dispatchEvent(new Event("input", { bubbles: true }));
      const results = () => [...document.querySelectorAll(".VPLocalSearchBox .result")].map((result) => result.textContent);
      await until(() => results().some((text) => text.includes("durable replay")));
      return results();
    `);
    return `${found.length} results`;
  });
  await tally.check("the demo delivers events to the server in the page", async () => {
    await browser.open(`${server.url}demo/index.html`);
    const [delivered, lost, guide] = await browser.evaluate(`
      const count = (name) => document.querySelector('[data-count="' + name + '"]').textContent;
      for (let tries = 0; tries < 300 && count("delivered") < 5; tries++) await new Promise((resolve) => setTimeout(resolve, 100));
      return [count("delivered"), count("lost"), (await fetch(document.getElementById("system-guide").href)).status];
    `);
    if (!(delivered >= 5) || lost !== "0" || guide !== 200)
      throw new Error(`${delivered} delivered, ${lost} lost, ${guide}`);
  });
} finally {
  await browser.close();
  await server.close();
}
tally.finish();
