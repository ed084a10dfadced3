// Damages a row in the file of a file store, and leaves the checksums right.
import { readFileSync, writeFileSync } from "node:fs";
import { crc32ByTable } from "../../dist/stores/file-system.js";
import { damageBytes } from "./damage.mjs";

const HEADER = 20;
const HEAD = 8;
const KINDS = { segments: 1, deadLetters: 3 };

/** Gives a segment flags of a newer version, and a dead letter a text that is no JSON. */
export function damageRow(path, table, key) {
  const bytes = new Uint8Array(readFileSync(path));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const salt = view.getUint32(HEAD, true);
  const damage = damageBytes["flags of a newer version, or a text that is no JSON"];
  for (let at = HEADER; at < bytes.length; ) {
    const end = at + HEAD + view.getUint32(at, true);
    for (let entry = at + HEAD; entry < end; ) {
      const keyEnd = entry + HEAD + view.getUint16(entry + 2, true);
      const entryEnd = keyEnd + view.getUint32(entry + 4, true);
      const name = new TextDecoder().decode(bytes.subarray(entry + HEAD, keyEnd));
      if (bytes[entry] === KINDS[table] && name === key)
        bytes.set(damage(bytes.slice(keyEnd, entryEnd), table), keyEnd);
      entry = entryEnd;
    }
    view.setUint32(at + 4, crc32ByTable()(bytes.subarray(at + HEAD, end), salt), true);
    at = end;
  }
  writeFileSync(path, bytes);
}
