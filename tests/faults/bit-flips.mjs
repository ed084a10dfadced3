// Each bit of the file of a file store with 100 records is flipped once.
import { flipBits } from "../stores/bit-flips.mjs";

export async function bitFlips(tally) {
  await tally.check("a flipped bit of a file costs one event at most, and is told, for all bits", async () => {
    // Records of 64 bytes: a flipped bit of a length can make one record look like two.
    const { flips } = await flipBits({ textBytes: 19 });
    return `${flips} bits`;
  });
}
