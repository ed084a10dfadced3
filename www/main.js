// The demo page. Everything is in the page, its server as well, so any static host can serve it.
import { copyButtons } from "./demo/copy.js";
import { startLab } from "./demo/lab.js";
import { startPicture } from "./demo/picture.js";
import { startPrograms } from "./demo/programs.js";
import { loadAll } from "./demo/runner.js";
import { showSizes } from "./demo/sizes.js";

// The list of what the page has loaded is cut off at 250 files by default.
performance.setResourceTimingBufferSize(2000);
startPrograms();
startPicture();
copyButtons(document);
// The first events are on the screen before the rest is made.
const whenIdle = globalThis.requestIdleCallback ?? ((run) => setTimeout(run, 200));
await new Promise((resolve) => whenIdle(resolve, { timeout: 1000 }));
startLab();
const sizes = showSizes(document.getElementById("sizes")).catch(() => undefined);

// After the first visit the page opens without a network: the worker keeps what the page has loaded, and the modules that its
// programs may import.
if ("serviceWorker" in navigator && isSecureContext) {
  // Not awaited: a browser may take a minute to check a worker that it has.
  void navigator.serviceWorker.register("worker.js").catch(() => undefined);
  await Promise.allSettled([loadAll(), sizes]);
  const { active } = await navigator.serviceWorker.ready;
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    document.documentElement.dataset.offline = "ready";
  };
  active?.postMessage([location.href.split("#")[0], ...loaded], [port2]);
}
