// The faults of the demo page. Web standards only: on the site, a service worker has the place of the server.

/** The faults that the page can inject. Each applies to one request, except `outage`, which lasts until it is ended. */
const FAULTS = {
  refusal: { status: 503, headers: { "retry-after": "1" }, body: "the emulator refuses this request\n" },
  lost: { after: "store", reset: true },
  delay: { delayMs: 2000 },
  outage: { status: 503, body: "the server is unavailable\n" },
};

/** `POST /demo/fault?kind=refusal|lost|delay|outage` sets the fault, `DELETE` removes it, all return the active faults. */
export function controlFaults(emulator, request, { pathname, searchParams }) {
  if (pathname !== "/demo/fault") return new Response(null, { status: 404 });
  if (request.method === "POST") {
    const kind = searchParams.get("kind") ?? "";
    const fault = FAULTS[kind];
    if (!fault)
      return new Response(`kind must be one of ${Object.keys(FAULTS).join(", ")}; received ${JSON.stringify(kind)}\n`, {
        status: 400,
      });
    emulator.faults.clear();
    emulator.faults.add({
      ...fault,
      ...(kind !== "outage" && { times: 1 }),
      match: (delivery) => delivery.method === "POST" && new URL(delivery.url).pathname.startsWith("/cloudevents"),
    });
  } else if (request.method === "DELETE") {
    emulator.faults.clear();
  } else if (request.method !== "GET") {
    return new Response(null, { status: 405, headers: { allow: "GET, POST, DELETE" } });
  }
  const { list } = emulator.faults;
  return Response.json({ pending: list.length, isOutage: list.some(({ fault }) => fault.times === undefined) });
}
