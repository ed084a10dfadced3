// The service worker of the demo on a static host: the emulator, for the requests that the demo page sends to its server.
import { createEmulator } from "eventferry/testing";
import { controlFaults } from "../js/cli/demo-faults.mjs";

const emulator = createEmulator({
  services: [{ prefix: "/demo", handle: (request, url) => controlFaults(emulator, request, url) }],
});
const PATHS = /^\/(?:cloudevents\/|demo\/fault$)/;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  if (origin === self.location.origin && PATHS.test(pathname))
    event.respondWith(emulator.fetch(event.request).catch(() => Response.error()));
});
