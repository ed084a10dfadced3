// A process that has a file store, for what can only be seen from outside: being killed, and limits of the system.
import { writeSync } from "node:fs";
import { fileStore } from "../../dist/stores/file.js";
import { change, keys, rejects, segment } from "./laws.mjs";

const [, , what, path, round] = process.argv;
const say = (line) => writeSync(1, `${line}\n`);
const store = fileStore(path);
const opening = store.open("x");
if (what !== "race") await opening;

const ACTS = {
  async hold() {
    await store.write(change({ put: [segment("held")] }));
    say("held");
    setInterval(() => undefined, 1000);
  },

  /** Keeps it, so that no other gets it after. */
  async race() {
    await opening.then(
      () => say("got it"),
      (error) => say(error.message),
    );
    setInterval(() => undefined, 1000);
  },

  /** Says `+` and each key when it has resolved, and `-` before it is removed: often enough that the file is rewritten several times. */
  async write() {
    say("ready");
    const name = (n) => `r${round.padStart(2, "0")}-${String(n).padStart(6, "0")}`;
    const text = `"${"x".repeat(9000)}"`;
    for (let n = 0; ; n += 4) {
      await Promise.all(
        [0, 1, 2, 3].map(async (more) => {
          await store.write(change({ put: [segment(name(n + more), Array(1 + (n % 17)).fill(text))] }));
          say(`+${name(n + more)}`);
        }),
      );
      const old = (await keys(store)).slice(0, -8);
      for (const key of old) say(`-${key}`);
      await store.write(change({ remove: old }));
    }
  },

  async full() {
    process.on("SIGXFSZ", () => undefined);
    let fitted = 0;
    const text = "1".repeat(3000);
    for (;;) {
      const made = await store.write(change({ put: [segment(`k${1000 + fitted}`, [text])] })).then(
        () => true,
        (error) => (say(error.message), false),
      );
      if (!made) break;
      if (++fitted > 10_000) throw new Error("there is no limit");
    }
    await rejects(store.write(change({ put: [segment("y", [text])] })));
    if ((await keys(store)).length !== fitted) throw new Error("it has another number of segments than it took");
    // A small one fits, and frees everything.
    await store.write(change({ remove: (await keys(store)).slice(0, 1) }));
    await store.write(change({ put: [segment("z")] }));
    await store.close();
  },
};
await ACTS[what]();
