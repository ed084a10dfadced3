// The demo page. Everything is in the page, its server as well, so any static host can serve it.
import { copyButtons } from "./demo/copy.js";
import { firstEvent, startPicture } from "./demo/picture.js";

/** How long the rest waits for the first event. There is none if an earlier visit has left the network offline. */
const MAX_WAIT_MS = 2000;

// The list of what the page has loaded is cut off at 250 files by default.
performance.setResourceTimingBufferSize(2000);
startPicture();
copyButtons(document);
await Promise.race([firstEvent, new Promise((resolve) => setTimeout(resolve, MAX_WAIT_MS))]);
const { startRest } = await import("./demo/rest.js");
const isLoaded = startRest();

// After the first visit the page opens without a network: the worker keeps what the page has loaded, and the modules that its
// programs may import.
if ("serviceWorker" in navigator && isSecureContext) {
  // Not awaited: a browser may take a minute to check a worker that it has.
  void navigator.serviceWorker.register("worker.js").catch(() => undefined);
  await isLoaded;
  const { active } = await navigator.serviceWorker.ready;
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    document.documentElement.dataset.offline = "ready";
  };
  active?.postMessage([location.href.split("#")[0], ...loaded], [port2]);
}
