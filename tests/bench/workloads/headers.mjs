// One event in binary mode from the Headers object that the platform hands out. Engines keep a list of headers
// once it was asked for, so headers that nobody has looked at yet and headers that were read before differ.
// The SDK knows plain objects only.
import { headersOf, plainEvents } from "../inputs.mjs";

const COUNT = 2048;
const four = ({ id, source, type, time }) => [id, source, type, time];

export function headerTables({ ferry: { fromHttp }, sdk: { HTTP } }) {
  const table = (title, fresh) => ({
    title,
    make() {
      const events = plainEvents(COUNT, 100, 13);
      const plain = events.map(headersOf);
      const bodies = events.map(({ data }) => JSON.stringify(data));
      // Each has its own, so that none profits from what another has read.
      const own = (contender) => {
        const headers = new Array(COUNT);
        const prepare = (from, to) => {
          // In a server they die young, and so they do here.
          headers.fill(undefined);
          for (let at = from; at < to; at++) headers[at] = new Headers(plain[at]);
        };
        if (!fresh) {
          prepare(0, COUNT);
          for (const it of headers) for (const header of it) void header;
        }
        return { ...contender(headers), ...(fresh && { prepare }) };
      };
      return {
        inputs: COUNT,
        ...(fresh && { most: 128 }),
        contenders: [
          own((headers) => ({
            name: "cloudevents",
            show: (at) => four(HTTP.toEvent({ headers: Object.fromEntries(headers[at]), body: bodies[at] })),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = HTTP.toEvent({ headers: Object.fromEntries(headers[at]), body: bodies[at] });
                sum += event.id.length + event.source.length + event.type.length + event.time.length;
              }
              return sum;
            },
          })),
          own((headers) => ({
            name: "four headers.get",
            show: (at) => ["id", "source", "type", "time"].map((name) => headers[at].get(`ce-${name}`)),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const it = headers[at];
                sum +=
                  it.get("ce-id").length +
                  it.get("ce-source").length +
                  it.get("ce-type").length +
                  it.get("ce-time").length;
              }
              return sum;
            },
          })),
          own((headers) => ({
            name: "eventferry",
            show: (at) => four(fromHttp(headers[at], bodies[at])),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = fromHttp(headers[at], bodies[at]);
                sum += event.id.length + event.source.length + event.type.length + event.time.length;
              }
              return sum;
            },
          })),
        ],
      };
    },
  });
  return [table("decode Headers, never read before", true), table("decode Headers, read before", false)];
}
