// The layout in a frame of each width, in every engine: nothing is wider than the page, and nothing changes its place or size
// from the first layout on, while the page loads, events arrive and the programs and the batch lab appear.
import assert from "node:assert/strict";

const WIDTHS = [380, 800, 1400];
/** All is there before; events go on arriving. */
const WATCH_MS = 4000;
const WATCHED =
  "section, h1, h2, h3, fieldset, figure, dl, dd, details, textarea, table, button, .lanes, .actions, .log, .scroll";

const WATCH = `
  const [width, watchMs, watched] = arguments;
  const frame = document.createElement("iframe");
  frame.style = "position: absolute; top: 0; left: 0; border: 0; height: 800px; width: " + width + "px";
  frame.src = "/?" + width;
  document.body.replaceChildren(frame);
  const places = new Map();
  const moved = new Set();
  const describe = (element) => element.tagName + (element.id ? "#" + element.id : "." + element.className);
  let looks = 0;
  const look = (page) => {
    looks++;
    for (const element of page.querySelectorAll(watched)) {
      // What is hidden, or in a region that scrolls by itself, may change.
      if (element.hidden || element.parentElement.closest(".log, .scroll, details:not([open])")) continue;
      const { left, top, width, height } = element.getBoundingClientRect();
      const place = [left, top + page.defaultView.scrollY, width, height].map(Math.round).join(" ");
      const before = places.get(element);
      if (before !== undefined && before !== place) moved.add(describe(element) + ": " + before + " -> " + place);
      places.set(element, place);
    }
  };
  const start = performance.now();
  let isDone = false;
  while (!isDone) {
    const page = frame.contentDocument;
    const isReady = page?.location.search === "?" + width && page.readyState !== "loading" && page.styleSheets.length === 3;
    if (isReady) look(page);
    isDone = isReady && performance.now() > start + watchMs && page.querySelector("#log").childElementCount > 2
      && page.querySelector("#sizes").childElementCount > 0 && page.querySelector("#system-code").value !== "";
    if (performance.now() > start + 60_000) throw new Error("the page in the frame did not load in 60 s");
    await new Promise((resolve) => setTimeout(resolve, 16));
  }
  const { scrollWidth, clientWidth } = frame.contentDocument.documentElement;
  return { moved: [...moved], tooWide: scrollWidth - clientWidth, looks, elements: places.size };
`;

export async function checkLayout({ browser, check, url }) {
  for (const width of WIDTHS)
    await check(`${width} px: nothing is wider than the page, and nothing moves while it loads`, async () => {
      const first = await browser.currentTab();
      await browser.newTab();
      // Another page of the same origin, which may look into the frame.
      await browser.open(`${url}docs/outbox.md`);
      const { moved, tooWide, looks, elements } = await browser.evaluate(WATCH, width, WATCH_MS, WATCHED);
      await browser.closeTab();
      await browser.switchTo(first);
      assert.ok(looks > 5 && elements > 50, `${looks} looks at ${elements} elements`);
      assert.equal(tooWide, 0);
      assert.deepEqual(moved, []);
      return `${elements} elements, ${looks} times`;
    });
}
