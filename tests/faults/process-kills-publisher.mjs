// A publisher with a file store, or in Deno with Deno KV: `process-kills-publisher.mjs publish|drain <url> <path> <name>`. It
// prints `+` and the ids of accepted events, and `~` and the messages of `degraded` events. `publish` runs until it is
// killed, `drain` until everything is delivered.
import { writeSync } from "node:fs";
import process from "node:process";
import { CloudEvent, denoKvStore, fileStore, Publisher } from "../../dist/entries/index.js";

const [, , command, url, path, name] = process.argv;
const print = (line) => writeSync(1, `${line}\n`);
process.on("unhandledRejection", (error) => print(`!${error?.stack ?? error}`));

const kv = await globalThis.Deno?.openKv(path);
const publisher = new Publisher({
  url: `${url}collect`,
  timeoutMs: 2000,
  outbox: { store: kv ? denoKvStore(kv) : fileStore(path), retry: { baseMs: 20, maxMs: 200 } },
});

publisher.outbox.addEventListener("degraded", ({ detail }) => print(`~${detail.error.message}`));

const COMMANDS = {
  async publish() {
    print("ready");
    let number = 0;
    for (;;) {
      const session = publisher.session();
      const receipts = Array.from({ length: 1 + Math.floor(Math.random() * 20) }, () =>
        session.publish(
          new CloudEvent({
            id: `${name}-${number++}`,
            type: "t",
            source: "/kill",
            data: { number, padding: "x".repeat(Math.random() * 300) },
          }),
        ),
      );
      const isAccepted = Promise.all(receipts.map(({ accepted }) => accepted)).then(() =>
        print(`+${receipts.map(({ id }) => id)}`),
      );
      await session.flush();
      await isAccepted;
      if (Math.random() < 0.3) await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
    }
  },

  async drain() {
    const { aborted } = await publisher.outbox.drain({ deadlineMs: 40_000 });
    const stats = publisher.outbox.stats();
    await publisher.outbox.close();
    print(`=${JSON.stringify({ aborted, ...stats })}`);
    process.exit(0);
  },
};
await COMMANDS[command]();
