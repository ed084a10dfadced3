// One life of a publisher with a file store. It says `+` and the ids of what was accepted, and ends when it is killed, or has delivered everything.
import { writeSync } from "node:fs";
import { CloudEvent, Publisher, fileStore } from "../../dist/entries/index.js";

const [, , what, url, path, life] = process.argv;
const say = (line) => writeSync(1, `${line}\n`);
process.on("unhandledRejection", (error) => say(`!${error?.stack ?? error}`));

const publisher = new Publisher({
  url: `${url}collect`,
  timeoutMs: 2000,
  outbox: { store: fileStore(path), retry: { baseMs: 20, maxMs: 200 } },
});

const ACTS = {
  async live() {
    say("ready");
    let number = 0;
    for (;;) {
      const session = publisher.session();
      const receipts = Array.from({ length: 1 + Math.floor(Math.random() * 20) }, () =>
        session.publish(
          new CloudEvent({
            id: `${life}-${number++}`,
            type: "t",
            source: "/kill",
            data: { number, padding: "x".repeat(Math.random() * 300) },
          }),
        ),
      );
      const isAccepted = Promise.all(receipts.map(({ accepted }) => accepted)).then(() =>
        say(`+${receipts.map(({ id }) => id)}`),
      );
      await session.flush();
      await isAccepted;
      if (Math.random() < 0.3) await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
    }
  },

  async drain() {
    const { aborted } = await publisher.outbox.drain({ deadlineMs: 20_000 });
    const stats = publisher.outbox.stats();
    await publisher.outbox.close();
    say(`=${JSON.stringify({ aborted, ...stats })}`);
    process.exit(0);
  },
};
await ACTS[what]();
