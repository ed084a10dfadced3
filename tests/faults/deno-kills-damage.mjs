// Damages two segments of a Deno KV, or mends all: `deno run deno-kills-damage.mjs <path> damage|mend`. Prints how many.
import process from "node:process";

const [, , path, command] = process.argv;
/** The byte with the flags, of which a newer version may have some. */
const FLAGS = 17;
const kv = await Deno.openKv(path);
let count = 0;
for await (const { key, value } of kv.list({ prefix: ["eventferry"] })) {
  if (key[2] !== "s" || !(value instanceof Uint8Array) || (command === "damage" && count === 2)) continue;
  const isDamaged = value[FLAGS] > 1;
  if (isDamaged === (command === "damage")) continue;
  const changed = value.slice();
  changed[FLAGS] ^= 0x40;
  await kv.set(key, changed);
  count++;
}
console.log(`=${count}`);
kv.close();
