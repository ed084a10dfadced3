// Reads one value of the data of a decoded event by its JSON Pointer.
import { plainEvents, texts } from "../inputs.mjs";

const HEADERS = { "content-type": "application/cloudevents+json" };

export function pointerTables({ ferry: { CloudEvent, Filter }, sdk: { HTTP } }) {
  const table = (title, size, count) => ({
    title,
    make() {
      // From now on the module of the filters finds values.
      Filter.sql("TRUE");
      const inputs = texts(plainEvents(count, size, 23 + size));
      const reader = (name, read) => ({
        name,
        show: (at) => read(inputs[at]),
        run(from, to) {
          let sum = 0;
          for (let at = from; at < to; at++) sum += read(inputs[at]);
          return sum;
        },
      });
      return {
        inputs: count,
        contenders: [
          reader("cloudevents", (text) => HTTP.toEvent({ headers: HEADERS, body: text }).data.orderId),
          reader("JSON.parse", (text) => JSON.parse(text).data.orderId),
          reader("eventferry", (text) => CloudEvent.fromJSON(text).at("/orderId")),
        ],
      };
    },
  });
  return [
    table("decode text and one value by its pointer, data 100 B", 100, 4096),
    table("decode text and one value by its pointer, data 10 KB", 10_000, 512),
  ];
}
