// Ways in which a stored row cannot be read, for stores that keep bytes.

/** Functions `(bytes, table)` that return what the storage has instead. */
export const damageBytes = {
  "another type": () => ({ newer: true }),
  "no bytes": () => new Uint8Array(0),
  "a wrong length": (bytes) => changed(bytes, 0, (byte) => byte ^ 3),
  "flags of a newer version, or a text that is no JSON": (bytes, table) =>
    table === "segments" ? changed(bytes, 17, () => 1) : changed(bytes, 8, () => 0x5b),
};

function changed(bytes, at, of) {
  const copy = bytes.slice();
  copy[at] = of(copy[at]);
  return copy;
}
