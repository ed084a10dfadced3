// Flips each bit of the file of a file store with 100 records, one at a time, and opens it: at most one event may be lost
// each time, and none without a word.
import { fileStore } from "../../dist/stores/file.js";
import { loadPlatform } from "../../dist/stores/file-system.js";
import { change, keys, segment } from "./contract.mjs";
import { memoryFiles } from "./memory-files.mjs";

const RECORDS = 100;
const ALL = Array.from({ length: RECORDS }, (_, n) => `k${1000 + n}`);

/**
 * @param step flips each bit whose number is a multiple of it
 * @param textBytes the length of each event; with some lengths, a flipped bit makes one record exactly as long as two
 * @returns how many bits were flipped, and in how many cases an event was lost
 */
export async function flipBits({ step = 1, textBytes = 20 } = {}) {
  const { crc32 } = await loadPlatform();
  const { platform, files } = memoryFiles({ crc32 });
  const path = "/log";
  const store = fileStore(path, { platform });
  await store.open("x");
  const text = JSON.stringify("x".repeat(textBytes - 2));
  for (const key of ALL) await store.write(change({ put: [segment(key, [text])] }));
  await store.close();
  const intact = files.get(path).data;
  let [flips, lossy] = [0, 0];
  for (let bit = 0; bit < 8 * intact.length; bit += step) {
    const damaged = intact.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    files.clear();
    files.set(path, { data: damaged, mode: 0o600, ino: 1 });
    const problems = [];
    const opened = fileStore(path, { platform });
    await opened.open("x", (problem) => problems.push(problem.message));
    const left = new Set(await keys(opened));
    await opened.close();
    const lost = ALL.filter((key) => !left.has(key)).length;
    const where = `bit ${bit & 7} of byte ${bit >> 3}`;
    if (lost > 1) throw new Error(`${where}: ${lost} events are lost`);
    if (problems.length === 0) throw new Error(`${where}: no problem is told, and ${lost} events are lost`);
    if (left.size > RECORDS - lost) throw new Error(`${where}: ${left.size} events`);
    if (lost > 0 && !files.get(`${path}.damaged`)?.data.length) throw new Error(`${where}: the bytes are not kept`);
    // What was repaired once is intact.
    const again = fileStore(path, { platform });
    await again.open("x", (problem) => problems.push(problem.message));
    if ((await keys(again)).length !== left.size) throw new Error(`${where}: the second start has other events`);
    await again.close();
    if (problems.length > 1) throw new Error(`${where}: ${problems.join("; ")}`);
    flips++;
    lossy += lost;
  }
  return { flips, lossy };
}
