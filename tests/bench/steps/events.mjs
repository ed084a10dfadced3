// The steps of decoding, encoding and publishing an event with 100 bytes of data.
import { CloudEvent, memoryStore, Publisher, toStructured } from "../../../dist/entries/index.js";
import { codecs } from "../../../dist/engine/modules/codecs.js";
import { plainEvents, texts } from "../inputs.mjs";
import { timeSteps } from "./time.mjs";

const COUNT = 4096;
const encoder = new TextEncoder();
const target = new Uint8Array(4096);
const four = ({ id, source, type, time }) => id.length + source.length + type.length + time.length;

/** Has the members of an event, so that it takes as long to freeze. */
class Members {
  constructor(event) {
    this.specversion = event.specversion;
    this.id = event.id;
    this.source = event.source;
    this.type = event.type;
    this.time = event.time;
    this.subject = event.subject;
    this.datacontenttype = event.datacontenttype;
    this.dataschema = event.dataschema;
    this.extensions = event.extensions;
    this.rawKind = event.rawKind;
    this.rawData = event.rawData;
  }
}

export function decodeSteps(quick) {
  const inputs = texts(plainEvents(COUNT, 100));
  const events = inputs.map((text) => CloudEvent.fromJSON(text));
  const { exports } = codecs;
  return {
    title: "decode an event from text, and read four attributes",
    total: "all of it",
    rows: timeSteps(
      COUNT,
      [
        { name: "all of it", run: (at) => four(CloudEvent.fromJSON(inputs[at])) },
        { name: "copy the text into the module", run: (at) => codecs.putText(inputs[at]) },
        {
          name: "scan it: one call",
          without: ["copy the text into the module"],
          run: (at) => exports.scan(codecs.putText(inputs[at])),
        },
        {
          name: "make the event of the table, and read",
          without: ["scan it: one call"],
          run(at) {
            exports.scan(codecs.putText(inputs[at]));
            return four(CloudEvent.fromRow(codecs.table, inputs[at], 0));
          },
        },
        { name: "an object with the same members", isLimit: true, run: (at) => new Members(events[at]).id.length },
        {
          name: "Object.freeze of such an object",
          isLimit: true,
          without: ["an object with the same members"],
          run: (at) => Object.freeze(new Members(events[at])).id.length,
        },
        { name: "an empty call of the module", isLimit: true, run: () => exports.scratch() & 1 },
        { name: "encodeInto", isLimit: true, run: (at) => encoder.encodeInto(inputs[at], target).written },
        { name: "JSON.parse of the text", isLimit: true, run: (at) => four(JSON.parse(inputs[at])) },
      ],
      quick,
    ),
  };
}

export function encodeSteps(quick) {
  const inputs = plainEvents(COUNT, 100);
  const events = inputs.map((init) => new CloudEvent(init));
  return {
    title: "encode an event from an object",
    total: "all of it",
    rows: timeSteps(
      COUNT,
      [
        { name: "all of it", run: (at) => toStructured(new CloudEvent(inputs[at])).body.length },
        { name: "JSON.stringify of the data", run: (at) => JSON.stringify(inputs[at].data).length },
        {
          name: "check the attributes, make the event",
          without: ["JSON.stringify of the data"],
          run: (at) => new CloudEvent(inputs[at]).id.length,
        },
        { name: "write the text", run: (at) => toStructured(events[at]).body.length },
        { name: "JSON.stringify of the object", isLimit: true, run: (at) => JSON.stringify(inputs[at]).length },
      ],
      quick,
    ),
  };
}

export async function publishSteps(quick) {
  const publisher = new Publisher({
    url: "http://127.0.0.1:9/",
    mode: "batch",
    outbox: { store: memoryStore(), maxBytes: 2 ** 28 },
  });
  const session = publisher.session();
  const inputs = plainEvents(COUNT, 100);
  let events;
  const makeEvents = () => {
    events = inputs.map((init) => new CloudEvent(init));
  };
  makeEvents();
  const written = events.map((event) => event.toString());
  const steps = {
    title: "publish an event in a session",
    total: "all of it",
    rows: timeSteps(
      COUNT,
      [
        {
          name: "all of it",
          prepare() {
            session.rollback();
            makeEvents();
          },
          run: (at) => (session.publish(events[at]) ? 1 : 0),
        },
        { name: "write the text", prepare: makeEvents, run: (at) => events[at].toString().length },
        { name: "encodeInto", isLimit: true, run: (at) => encoder.encodeInto(written[at], target).written },
        { name: "JSON.stringify of the object", isLimit: true, run: (at) => JSON.stringify(inputs[at]).length },
      ],
      quick,
    ),
  };
  session.rollback();
  await publisher.outbox.close();
  return steps;
}
