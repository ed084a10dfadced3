// Decodes one event in binary mode from a Headers object. Engines cache the list of headers when it is first read, so
// headers that were read before are measured apart from those that were not. The SDK accepts only plain objects.
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
      // Each contender has its own objects, so that none uses headers that another one has read.
      const withOwnHeaders = (contender) => {
        const headers = new Array(COUNT);
        const prepare = (from, to) => {
          // In a server the objects are short-lived, so old ones are released.
          headers.fill(undefined);
          for (let at = from; at < to; at++) headers[at] = new Headers(plain[at]);
        };
        if (!fresh) {
          prepare(0, COUNT);
          for (const each of headers) for (const header of each) void header;
        }
        return { ...contender(headers), ...(fresh && { prepare }) };
      };
      return {
        inputs: COUNT,
        ...(fresh && { maxInputs: 128 }),
        contenders: [
          withOwnHeaders((headers) => ({
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
          withOwnHeaders((headers) => ({
            name: "four headers.get",
            show: (at) => ["id", "source", "type", "time"].map((name) => headers[at].get(`ce-${name}`)),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const own = headers[at];
                sum +=
                  own.get("ce-id").length +
                  own.get("ce-source").length +
                  own.get("ce-type").length +
                  own.get("ce-time").length;
              }
              return sum;
            },
          })),
          withOwnHeaders((headers) => ({
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
