// Decodes one event in structured mode from text or bytes, and reads four attributes or also a field of the data.
import { bytes, plainEvents, texts } from "../inputs.mjs";

const HEADERS = { "content-type": "application/cloudevents+json" };
const decoder = new TextDecoder();

const four = ({ id, source, type, time }) => [id, source, type, time];

/** One table for each kind of input, because code that is optimised for one kind may be slower for another. */
export function decodeTables({ ferry: { CloudEvent }, sdk: { HTTP } }) {
  const ofText = (title, size, count) => ({
    title,
    make() {
      const inputs = texts(plainEvents(count, size));
      return {
        inputs: count,
        contenders: [
          {
            name: "cloudevents",
            show: (at) => four(HTTP.toEvent({ headers: HEADERS, body: inputs[at] })),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = HTTP.toEvent({ headers: HEADERS, body: inputs[at] });
                sum += event.id.length + event.source.length + event.type.length + event.time.length;
              }
              return sum;
            },
          },
          {
            name: "JSON.parse",
            show: (at) => four(JSON.parse(inputs[at])),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = JSON.parse(inputs[at]);
                sum += event.id.length + event.source.length + event.type.length + event.time.length;
              }
              return sum;
            },
          },
          {
            name: "eventferry",
            show: (at) => four(CloudEvent.fromJSON(inputs[at])),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = CloudEvent.fromJSON(inputs[at]);
                sum += event.id.length + event.source.length + event.type.length + event.time.length;
              }
              return sum;
            },
          },
        ],
      };
    },
  });

  const withField = {
    title: "decode text, data 100 B, and read a field of it",
    make() {
      const inputs = texts(plainEvents(4096, 100, 7));
      const five = (event) => [...four(event), event.data.amount];
      return {
        inputs: inputs.length,
        contenders: [
          {
            name: "cloudevents",
            show: (at) => five(HTTP.toEvent({ headers: HEADERS, body: inputs[at] })),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = HTTP.toEvent({ headers: HEADERS, body: inputs[at] });
                sum +=
                  event.id.length + event.source.length + event.type.length + event.time.length + event.data.amount;
              }
              return sum;
            },
          },
          {
            name: "JSON.parse",
            show: (at) => five(JSON.parse(inputs[at])),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = JSON.parse(inputs[at]);
                sum +=
                  event.id.length + event.source.length + event.type.length + event.time.length + event.data.amount;
              }
              return sum;
            },
          },
          {
            name: "eventferry",
            show: (at) => five(CloudEvent.fromJSON(inputs[at])),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = CloudEvent.fromJSON(inputs[at]);
                sum +=
                  event.id.length + event.source.length + event.type.length + event.time.length + event.data.amount;
              }
              return sum;
            },
          },
        ],
      };
    },
  };

  const ofBytes = {
    title: "decode bytes, data 1 KB",
    make() {
      const inputs = bytes(plainEvents(2048, 1000, 11));
      return {
        inputs: inputs.length,
        contenders: [
          {
            name: "cloudevents",
            show: (at) => four(HTTP.toEvent({ headers: HEADERS, body: decoder.decode(inputs[at]) })),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = HTTP.toEvent({ headers: HEADERS, body: decoder.decode(inputs[at]) });
                sum += event.id.length + event.source.length + event.type.length + event.time.length;
              }
              return sum;
            },
          },
          {
            name: "JSON.parse",
            show: (at) => four(JSON.parse(decoder.decode(inputs[at]))),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = JSON.parse(decoder.decode(inputs[at]));
                sum += event.id.length + event.source.length + event.type.length + event.time.length;
              }
              return sum;
            },
          },
          {
            name: "eventferry",
            show: (at) => four(CloudEvent.fromJSON(inputs[at])),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const event = CloudEvent.fromJSON(inputs[at]);
                sum += event.id.length + event.source.length + event.type.length + event.time.length;
              }
              return sum;
            },
          },
        ],
      };
    },
  };

  return [
    ofText("decode text, data 100 B", 100, 4096),
    withField,
    ofText("decode text, data 1 KB", 1000, 2048),
    ofText("decode text, data 10 KB", 10_000, 512),
    ofBytes,
  ];
}
