// A batch of 1000 events as bytes: decode it, select the events of one type, encode them as the bytes of a batch.
import { plainEvents, TYPES } from "../inputs.mjs";

const BATCHES = 16;
const HEADERS = { "content-type": "application/cloudevents-batch+json" };
const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function batchTables({ ferry: { EventBatch }, sdk: { HTTP } }) {
  return [
    {
      title: "filter a batch of 1000, data 300 B",
      unit: "batch",
      make() {
        const wanted = TYPES[2];
        const inputs = Array.from({ length: BATCHES }, (_, at) =>
          encoder.encode(JSON.stringify(plainEvents(1000, 300, 100 + at))),
        );
        const withSdk = (bytes) =>
          encoder.encode(
            JSON.stringify(
              HTTP.toEvent({ headers: HEADERS, body: decoder.decode(bytes) }).filter(({ type }) => type === wanted),
            ),
          );
        const plain = (bytes) =>
          encoder.encode(JSON.stringify(JSON.parse(decoder.decode(bytes)).filter(({ type }) => type === wanted)));
        const ours = (bytes) =>
          EventBatch.parse(bytes)
            .filter((event) => event.type === wanted)
            .toBytes();
        return {
          inputs: BATCHES,
          contenders: [
            contender("cloudevents", inputs, withSdk),
            contender("JSON.parse", inputs, plain),
            contender("eventferry", inputs, ours),
          ],
        };
      },
    },
  ];
}

function contender(name, inputs, filter) {
  return {
    name,
    show: (at) => JSON.parse(decoder.decode(filter(inputs[at]))).map(({ id, type }) => [id, type]),
    run(from, to) {
      let sum = 0;
      for (let at = from; at < to; at++) sum += filter(inputs[at])[0];
      return sum;
    },
  };
}
