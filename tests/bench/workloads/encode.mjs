// Encodes one event from an object: text in structured mode, headers and body in binary mode.
import { plainEvents } from "../inputs.mjs";

const COUNT = 4096;

export function encodeTables({ ferry, sdk }) {
  const structured = {
    title: "encode structured, data 100 B",
    make() {
      const inputs = inits();
      const shown = (text) => {
        const { specversion, id, source, type, time, data } = JSON.parse(text);
        return { specversion, id, source, type, time, data };
      };
      return {
        inputs: COUNT,
        contenders: [
          {
            name: "cloudevents",
            show: (at) => shown(sdk.HTTP.structured(new sdk.CloudEvent(inputs[at])).body),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) sum += idIn(sdk.HTTP.structured(new sdk.CloudEvent(inputs[at])).body);
              return sum;
            },
          },
          {
            name: "JSON.stringify",
            show: (at) => shown(JSON.stringify({ specversion: "1.0", ...inputs[at] })),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const { id, source, type, time, data } = inputs[at];
                sum += idIn(JSON.stringify({ specversion: "1.0", id, source, type, time, data }));
              }
              return sum;
            },
          },
          {
            name: "eventferry",
            show: (at) => shown(ferry.toStructured(new ferry.CloudEvent(inputs[at])).body),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) sum += idIn(ferry.toStructured(new ferry.CloudEvent(inputs[at])).body);
              return sum;
            },
          },
        ],
      };
    },
  };

  const binary = {
    title: "encode binary, data 100 B",
    make() {
      const inputs = inits();
      const shown = ({ headers, body }) => [
        ["id", "source", "type", "time"].map((name) => headers[`ce-${name}`]),
        JSON.parse(body),
      ];
      return {
        inputs: COUNT,
        contenders: [
          {
            name: "cloudevents",
            show: (at) => shown(sdk.HTTP.binary(new sdk.CloudEvent(inputs[at]))),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const { headers, body } = sdk.HTTP.binary(new sdk.CloudEvent(inputs[at]));
                sum += headers["ce-id"].length + headers["ce-time"].length + body.length;
              }
              return sum;
            },
          },
          {
            name: "headers + JSON.stringify",
            show: (at) => shown(plainBinary(inputs[at])),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const { headers, body } = plainBinary(inputs[at]);
                sum += headers["ce-id"].length + headers["ce-time"].length + body.length;
              }
              return sum;
            },
          },
          {
            name: "eventferry",
            show: (at) => shown(ferry.toBinary(new ferry.CloudEvent(inputs[at]))),
            run(from, to) {
              let sum = 0;
              for (let at = from; at < to; at++) {
                const { headers, body } = ferry.toBinary(new ferry.CloudEvent(inputs[at]));
                sum += headers["ce-id"].length + headers["ce-time"].length + body.length;
              }
              return sum;
            },
          },
        ],
      };
    },
  };
  return [structured, binary];
}

const inits = () =>
  plainEvents(COUNT, 100, 17).map(({ id, source, type, time, data }) => ({ id, source, type, time, data }));

/** Reads a character, so that the engine has to flatten a concatenated string, as for sending it. */
const idIn = (text) => text.charCodeAt(text.length - 1) + (text.length > 200 ? 1 : 0);

function plainBinary({ id, source, type, time, data }) {
  return {
    headers: {
      "content-type": "application/json",
      "ce-specversion": "1.0",
      "ce-id": id,
      "ce-source": source,
      "ce-type": type,
      "ce-time": time,
    },
    body: JSON.stringify(data),
  };
}
