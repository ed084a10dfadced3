// Makes the bodies of requests of at most 500 KB from 100,000 small events that arrive one by one and wait until all are
// there. Plain objects and those of the SDK are written as JSON then; a session writes an event when it is published, and
// an outbox makes the requests. Nothing is sent.
import { plainEvents } from "../inputs.mjs";

const EVENTS = 100_000;
const MAX_BYTES = 500 * 1024;
/** One measurement takes much longer than those of other workloads. */
const ROUNDS = 7;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function sessionTables({ outbox: { CloudEvent, memoryStore, Publisher }, sdk }) {
  return [
    {
      title: "100,000 small events into bodies of 500 KB",
      unit: "flush",
      rounds: ROUNDS,
      make() {
        const inits = plainEvents(EVENTS, 60);
        return {
          inputs: 1,
          contenders: [
            contender("cloudevents", () => bodies(inits.map((init) => new sdk.CloudEvent(init)))),
            contender("plain objects", () => bodies(inits.map(plainEvent))),
            contender("eventferry", () => sent(inits)),
          ],
        };
      },
    },
  ];

  /** The bodies that an outbox sends. */
  async function sent(inits) {
    const requests = [];
    const publisher = new Publisher({
      url: "https://events.example.com/",
      mode: "batch",
      fetch: async (_, { body }) => {
        requests.push(body);
        return new Response(null, { status: 202 });
      },
      outbox: {
        store: memoryStore(),
        maxBytes: 256 * 2 ** 20,
        batch: { maxEvents: 10_000, maxBytes: MAX_BYTES },
      },
    });
    const session = publisher.session();
    for (const init of inits) session.publish(new CloudEvent(init));
    await session.flush({ until: "delivered" });
    await publisher.outbox.close();
    return requests;
  }
}

/** A copy, as a program makes that builds an event from what it knows. */
const plainEvent = ({ specversion, id, source, type, time, data }) => ({ specversion, id, source, type, time, data });

/** Writes events as JSON, in bodies of at most `MAX_BYTES`. */
function bodies(events) {
  const made = [];
  let texts = [];
  let length = 0;
  const end = () => {
    made.push(encoder.encode(`[${texts.join(",")}]`));
    texts = [];
    length = 0;
  };
  for (const event of events) {
    const text = JSON.stringify(event);
    if (length + text.length > MAX_BYTES) end();
    texts.push(text);
    length += text.length;
  }
  end();
  return made;
}

function contender(name, makeBodies) {
  return {
    name,
    show: async () => (await makeBodies()).flatMap((body) => JSON.parse(decoder.decode(body)).map(({ id }) => id)),
    // Without what depends on where the bodies are cut.
    run: async () => (await makeBodies()).reduce((sum, { length }) => sum + length - 1, 0),
  };
}
