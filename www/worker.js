// Keeps the files of the demo, so that the page opens without a network after the first visit.
const CACHE = "eventferry-demo";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && new URL(request.url).origin === self.location.origin)
    event.respondWith(fromNetworkOrCache(request));
});

// The page tells what it has loaded before this worker was there.
self.addEventListener("message", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    const keepOne = async (url) => (await cache.match(url, { ignoreVary: true })) ?? cache.add(url);
    await Promise.allSettled(event.data.map(keepOne));
    event.ports[0]?.postMessage("kept");
  };
  event.waitUntil(keep());
});

/** The newest file. Without a network, the one that was loaded last. */
async function fromNetworkOrCache(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreVary: true });
    if (kept) return kept;
    throw error;
  }
}
