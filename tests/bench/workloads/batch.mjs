// Batches as bytes: decode a batch of 1000 events, select some, encode them as the bytes of a batch; and check lines of
// NDJSON of which some are not valid.
import { plainEvents, TYPES } from "../inputs.mjs";

const BATCHES = 16;
const HEADERS = { "content-type": "application/cloudevents-batch+json" };
const EVENT_HEADERS = { "content-type": "application/cloudevents+json" };
const decoder = new TextDecoder();
const encoder = new TextEncoder();
const REGIONS = ["eu", "us", "apac"];

/** Batches of 1000 events. One in `8 × 3` has the type, the subject and the region that are selected. */
function batches(size) {
  return Array.from({ length: BATCHES }, (_, at) =>
    encoder.encode(JSON.stringify(plainEvents(1000, size, 100 + at).map(withSubject))),
  );
}

function withSubject({ data, ...event }, at) {
  return { ...event, subject: `order-${at}`, region: REGIONS[(at * 7) % 3], data };
}

const WANTED = TYPES[2];
const isWanted = ({ type, subject, region }) =>
  type === WANTED && subject !== undefined && subject.startsWith("order-") && region === "eu";
const FILTER = { all: [{ exact: { type: WANTED, region: "eu" } }, { prefix: { subject: "order-" } }] };

export function batchTables({ ferry: { EventBatch, Filter }, sdk: { HTTP } }) {
  const withSdk = (bytes) =>
    encoder.encode(JSON.stringify(HTTP.toEvent({ headers: HEADERS, body: decoder.decode(bytes) }).filter(isWanted)));
  const plain = (bytes) => encoder.encode(JSON.stringify(JSON.parse(decoder.decode(bytes)).filter(isWanted)));
  const filterTable = (title, size, ours) => ({
    title,
    unit: "batch",
    make() {
      const inputs = batches(size);
      // The module that filters starts with the first filter.
      const select = ours(Filter.from(FILTER));
      return {
        inputs: BATCHES,
        contenders: [
          contender("cloudevents", inputs, withSdk),
          contender("JSON.parse", inputs, plain),
          contender("eventferry", inputs, select),
        ],
      };
    },
  });
  const full = (filter) => (bytes) => EventBatch.parse(bytes).filter(filter).toBytes();
  const structure = (filter) => (bytes) => EventBatch.parse(bytes, { check: "structure" }).filter(filter).toBytes();
  const byFunction = () => (bytes) =>
    EventBatch.parse(bytes)
      .filter(({ type, subject, extensions: { region } }) => isWanted({ type, subject, region }))
      .toBytes();
  return [
    filterTable("filter a batch of 1000 by a function, data 1 KB", 1000, byFunction),
    filterTable("filter a batch of 1000, data 300 B", 300, full),
    filterTable("filter a batch of 1000, data 1 KB", 1000, full),
    filterTable("filter a batch of 1000 that was checked before, data 1 KB", 1000, structure),
    validationTable(EventBatch, HTTP),
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

/** How one line in ten is spoiled. All of them find these. */
const SPOIL = [
  (line) => line.replace(/"type":"[^"]*"/, '"type":""'),
  (line) => line.replace(/"source":"[^"]*"/, '"source":""'),
  (line) => line.slice(0, -1),
  (line) => line.replace('"data":{', '"data":{,'),
];

/** Checks lines one by one; the result is the indices of those that are not valid. */
function validationTable(EventBatch, HTTP) {
  return {
    title: "validate 1000 lines, 10 % not valid, data 100 B",
    unit: "batch",
    make() {
      const inputs = Array.from({ length: BATCHES }, (_, at) => {
        const lines = plainEvents(1000, 100, 300 + at).map((event) => JSON.stringify(event));
        const spoiled = lines.map((line, index) =>
          index % 10 === 3 ? SPOIL[((index / 10 + at) | 0) % SPOIL.length](line) : line,
        );
        return encoder.encode(`${spoiled.join("\n")}\n`);
      });
      const each = (isValid) => (bytes) => {
        const invalid = [];
        const lines = decoder.decode(bytes).split("\n");
        for (let index = 0; index < lines.length - 1; index++) if (!isValid(lines[index])) invalid.push(index);
        return invalid;
      };
      const withSdk = each((line) => {
        try {
          return HTTP.toEvent({ headers: EVENT_HEADERS, body: line }).id !== undefined;
        } catch {
          return false;
        }
      });
      const plain = each((line) => {
        try {
          const { specversion, id, source, type } = JSON.parse(line);
          return [specversion, id, source, type].every((value) => typeof value === "string" && value !== "");
        } catch {
          return false;
        }
      });
      const ours = (bytes) =>
        EventBatch.parse(bytes, { format: "ndjson", onInvalid: "skip" }).rejected.map(({ index }) => index);
      const validator = (name, find) => ({
        name,
        show: (at) => find(inputs[at]),
        run(from, to) {
          let sum = 0;
          for (let at = from; at < to; at++) sum += find(inputs[at]).length;
          return sum;
        },
      });
      return {
        inputs: BATCHES,
        contenders: [validator("cloudevents", withSdk), validator("JSON.parse", plain), validator("eventferry", ours)],
      };
    },
  };
}
