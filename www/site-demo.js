// The demo on a static host: a service worker has the place of the emulator. The page starts once the worker answers its requests.
const { serviceWorker } = navigator;
if (serviceWorker) {
  const controlled = new Promise((resolve) => {
    if (serviceWorker.controller) resolve();
    serviceWorker.addEventListener("controllerchange", resolve, { once: true });
  });
  await serviceWorker.register("worker.js");
  await controlled;
  await import("./main.js");
} else {
  const notice = document.getElementById("notice");
  notice.hidden = false;
  notice.textContent = "This browser has no service workers here. Run the demo with “npx eventferry demo” instead.";
}
