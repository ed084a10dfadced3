// A process with a file store, for checks from outside: kills, and limits of the system.
import { writeSync } from "node:fs";
import { fileStore } from "../../dist/stores/file.js";
import { change, keys, rejects, segment } from "./contract.mjs";

const [, , action, path, round] = process.argv;
const print = (line) => writeSync(1, `${line}\n`);
const store = fileStore(path);
const opening = store.open("x");
if (action !== "race") await opening;

const ACTIONS = {
  async hold() {
    await store.write(change({ put: [segment("held")] }));
    print("held");
    setInterval(() => undefined, 1000);
  },

  /** Keeps the lock, so that no other process gets it later. */
  async race() {
    await opening.then(
      () => print("got it"),
      (error) => print(error.message),
    );
    setInterval(() => undefined, 1000);
  },

  /** Prints `+` and the key of each resolved segment, and `-` before its removal. The file is rewritten several times. */
  async write() {
    print("ready");
    const name = (n) => `r${round.padStart(2, "0")}-${String(n).padStart(6, "0")}`;
    const text = `"${"x".repeat(9000)}"`;
    for (let n = 0; ; n += 4) {
      await Promise.all(
        [0, 1, 2, 3].map(async (more) => {
          await store.write(change({ put: [segment(name(n + more), Array(1 + (n % 17)).fill(text))] }));
          print(`+${name(n + more)}`);
        }),
      );
      const old = (await keys(store)).slice(0, -8);
      for (const key of old) print(`-${key}`);
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
        (error) => {
          print(error.message);
          return false;
        },
      );
      if (!made) break;
      if (++fitted > 10_000) throw new Error("the file has no limit");
    }
    await rejects(store.write(change({ put: [segment("y", [text])] })));
    if ((await keys(store)).length !== fitted) throw new Error("the number of segments is wrong");
    // A small removal fits, and makes space.
    await store.write(change({ remove: (await keys(store)).slice(0, 1) }));
    await store.write(change({ put: [segment("z")] }));
    await store.close();
  },
};
await ACTIONS[action]();
