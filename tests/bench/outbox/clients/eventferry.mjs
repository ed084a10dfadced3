// The client of eventferry. No other file here uses its API.
import { join } from "node:path";
import * as ferry from "../../../../dist/entries/index.js";
import { BATCH, eventOf } from "../events.mjs";

const { CloudEvent, Publisher } = ferry;

/** @param options.folder the folder for the files of a store */
export function open({ url, store = "memory", folder }) {
  mustHave("memoryStore", ferry.memoryStore);
  mustHave("fileStore", ferry.fileStore);
  mustHave("Publisher.prototype.session", Publisher.prototype.session);
  const publisher = new Publisher({
    url,
    mode: "batch",
    outbox: {
      store: store === "file" ? ferry.fileStore(join(folder, "events")) : ferry.memoryStore(),
      maxBytes: 256 * 2 ** 20,
      batch: { maxEvents: BATCH },
    },
  });
  mustHave("publisher.outbox", publisher.outbox);
  const session = publisher.session();
  return {
    publish: (at) => session.publish(new CloudEvent(eventOf(at))),
    /** Resolves once all events so far are accepted. */
    endTurn: () => session.flush(),
    async finish() {
      await session.flush();
      await publisher.outbox.drain();
    },
    close: () => publisher.outbox.close(),
    pause: () => publisher.outbox.pause(),
    session,
  };
}

export { CloudEvent };

function mustHave(name, value) {
  if (value === undefined) throw new Error(`this build of eventferry has no outbox, because there is no ${name}`);
}
