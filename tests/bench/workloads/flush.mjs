// 100,000 small events are published and flushed in bodies of at most 500 KB, which are taken at once: no network.
import { plainEvents } from "../inputs.mjs";

const MAX_BYTES = 500_000;
const encoder = new TextEncoder();

/** The bodies of texts, each with as many as fit. */
function bodiesOf(texts, take) {
  let [parts, size] = [[], 2];
  for (const text of texts) {
    if (size + text.length + 1 > MAX_BYTES) {
      take(encoder.encode(`[${parts.join()}]`));
      [parts, size] = [[], 2];
    }
    parts.push(text);
    size += text.length + 1;
  }
  if (parts.length > 0) take(encoder.encode(`[${parts.join()}]`));
}

/** Contenders get plain events without id and time, and publish each with its own. They return the bytes of all bodies. */
export function flushTable({ ferry: { CloudEvent, Publisher, memoryStore }, sdk }, count) {
  const events = plainEvents(1000, 100, 5).map(({ type, source, data }) => ({ type, source, data }));
  const eventAt = (at) => events[at % events.length];
  const objects = (name, make) => ({
    name,
    async run() {
      const all = [];
      for (let at = 0; at < count; at++) all.push(make(eventAt(at)));
      let bytes = 0;
      bodiesOf(
        all.map((event) => JSON.stringify(event)),
        (body) => {
          bytes += body.length;
        },
      );
      return bytes;
    },
  });
  return {
    title: `publish ${count.toLocaleString("en")} events and flush them in bodies of 500 KB`,
    unit: "run",
    contenders: [
      objects("cloudevents", (event) => new sdk.CloudEvent({ specversion: "1.0", ...event })),
      objects("plain objects", (event) => ({
        specversion: "1.0",
        id: crypto.randomUUID(),
        time: new Date().toISOString(),
        ...event,
      })),
      {
        name: "eventferry",
        async run() {
          let bytes = 0;
          const publisher = new Publisher({
            url: "https://collector.example/",
            mode: "batch",
            async fetch(_, { body }) {
              bytes += body.length;
              return new Response(null, { status: 202 });
            },
            outbox: {
              store: memoryStore(),
              maxBytes: 256 * 2 ** 20,
              batch: { maxEvents: 100_000, maxBytes: MAX_BYTES },
            },
          });
          const session = publisher.session();
          for (let at = 0; at < count; at++) session.publish(new CloudEvent(eventAt(at)));
          await session.flush({ until: "delivered" });
          await publisher.outbox.close();
          return bytes;
        },
      },
    ],
  };
}
