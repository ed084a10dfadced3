// The demo page. Everything is in the page, its server as well, so any static host can serve it.
import { startPicture } from "./demo/picture.js";
import { startPrograms } from "./demo/programs.js";
import { loadAll } from "./demo/runner.js";

startPrograms();
startPicture();

// After the first visit the page opens without a network: the worker keeps what the page has loaded, and the modules that its
// programs may import.
if ("serviceWorker" in navigator && isSecureContext) {
  await navigator.serviceWorker.register("worker.js").catch(() => undefined);
  await loadAll();
  const { active } = await navigator.serviceWorker.ready;
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  active?.postMessage([location.href.split("#")[0], ...loaded]);
}
