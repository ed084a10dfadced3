// Keeps the files of the demo, so that the page opens without a network after the first visit.
const CACHE = "eventferry-demo";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && new URL(request.url).origin === self.location.origin)
    event.respondWith(fromNetworkOrCache(event));
});

// The page tells what it has loaded before this worker was there.
self.addEventListener("message", (event) => {
  const keepAll = async () => {
    const cache = await caches.open(CACHE);
    const keepOne = async (url) => (await cache.match(url, { ignoreVary: true })) ?? cache.add(url);
    await Promise.allSettled(event.data.map(keepOne));
    event.ports[0]?.postMessage("kept");
  };
  event.waitUntil(keepAll());
});

/** The newest file. Without a network, the one that was loaded last. */
async function fromNetworkOrCache(event) {
  const { request } = event;
  try {
    const response = await fetch(request);
    // The page does not wait until it is kept.
    if (response.ok) event.waitUntil(keep(request, response.clone()).catch(() => undefined));
    return response;
  } catch (error) {
    const cache = await caches.open(CACHE);
    const kept = await cache.match(request, { ignoreVary: true });
    if (kept) return kept;
    throw error;
  }
}

async function keep(request, response) {
  const cache = await caches.open(CACHE);
  await cache.put(request, response);
}
