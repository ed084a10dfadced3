// A batch of 1000 events as bytes: decode it, select some of the events, encode them as the bytes of a batch.
import { plainEvents, TYPES } from "../inputs.mjs";

const BATCHES = 16;
const HEADERS = { "content-type": "application/cloudevents-batch+json" };
const REGIONS = ["eu-west", "eu-north", "us-east", "us-west", "ap-south"];
const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function batchTables({ ferry: { EventBatch, Filter }, sdk: { HTTP } }) {
  const wanted = TYPES[2];
  const byType = ({ type }) => type === wanted;
  const byFunction = {
    events: plainEvents,
    isWanted: byType,
    ours: (bytes) => EventBatch.parse(bytes).filter(byType).toBytes(),
  };
  const byFilter = (check) => {
    const filter = Filter.sql(`type = '${wanted}' AND subject LIKE 'orders/1%' AND region = 'eu-west'`);
    return {
      events: routedEvents,
      isWanted: ({ type, subject, region }) =>
        type === wanted && subject.startsWith("orders/1") && region === "eu-west",
      ours: (bytes) => EventBatch.parse(bytes, { check, filter }).toBytes(),
    };
  };
  const table = (title, size, make) => ({
    title,
    unit: "batch",
    make() {
      const { events, isWanted, ours } = make();
      const inputs = Array.from({ length: BATCHES }, (_, at) =>
        encoder.encode(JSON.stringify(events(1000, size, 100 + at))),
      );
      const withSdk = (bytes) =>
        encoder.encode(
          JSON.stringify(HTTP.toEvent({ headers: HEADERS, body: decoder.decode(bytes) }).filter(isWanted)),
        );
      const plain = (bytes) => encoder.encode(JSON.stringify(JSON.parse(decoder.decode(bytes)).filter(isWanted)));
      return {
        inputs: BATCHES,
        contenders: [
          contender("cloudevents", inputs, withSdk),
          contender("JSON.parse", inputs, plain),
          contender("eventferry", inputs, ours),
        ],
      };
    },
  });
  return [
    table("filter a batch of 1000, data 300 B", 300, () => byFunction),
    table("filter a batch of 1000 by a Filter, data 300 B", 300, () => byFilter("full")),
    table("filter a batch of 1000 by a Filter, structure only, data 300 B", 300, () => byFilter("structure")),
    table("filter a batch of 1000 by a Filter, data 1 KB", 1000, () => byFilter("full")),
    table("filter a batch of 1000 by a Filter, structure only, data 1 KB", 1000, () => byFilter("structure")),
  ];
}

/** Events with a subject and an extension attribute. */
function routedEvents(count, size, seed) {
  return plainEvents(count, size, seed).map(({ data, ...event }, at) => ({
    ...event,
    subject: `orders/${(at * 7919) % 5000}`,
    region: REGIONS[at % REGIONS.length],
    data,
  }));
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
