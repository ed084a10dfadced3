/** Replaces the file of a file store by a new one. Internal. */
import type { Checksum } from "./file-format.js";
import { headerOf } from "./file-header.js";
import { NO_PROBE, type Probe, probeOf } from "./file-probe.js";
import { FILE_MODE, type FileHandle, type FileStat, type Platform, writeAt } from "./file-system.js";

/** Makes records with the checksum of the file that they are for. */
export type MakeRecords = (checksum: Checksum) => Iterable<Uint8Array>;

export interface Replacement {
  /** The file to replace. The new one is `<path>.new` until then. */
  readonly path: string;
  readonly salt: number;
  readonly make: MakeRecords;
  /** Whether the disk must have the new file before it replaces the old one. */
  readonly isFlushed: boolean;
  /** Called before the old file is replaced. */
  readonly prepare: (() => Promise<void>) | undefined;
}

/** A new file that has replaced another one, under its path. */
export interface ReplacedFile {
  readonly handle: FileHandle;
  readonly identity: FileStat;
  readonly length: number;
  readonly probe: Probe;
}

/** Writes a new file, and replaces the old one by it. A failure leaves the old one. */
export async function replaceFile(
  { fs, crc32 }: Platform,
  { path, salt, make, isFlushed, prepare }: Replacement,
): Promise<ReplacedFile> {
  const newPath = `${path}.new`;
  const handle = await fs.open(newPath, "w+", FILE_MODE);
  let length = 0;
  let probe = NO_PROBE;
  try {
    for (const bytes of withHeader(
      headerOf(salt),
      make((content) => crc32(content, salt)),
    )) {
      await writeAt(handle, length, bytes);
      length += bytes.length;
      probe = probeOf(bytes, length);
    }
    if (isFlushed) await handle.sync();
    const identity = await handle.stat({ bigint: true });
    await prepare?.();
    await fs.rename(newPath, path);
    return { handle, identity, length, probe };
  } catch (error) {
    await handle.close().catch(() => undefined);
    await fs.unlink(newPath).catch(() => undefined);
    throw error;
  }
}

/** Flushes the directory of a file, so that the disk has the new name of the file. */
export async function syncFolder({ fs, folderOf }: Platform, path: string): Promise<void> {
  // Windows cannot open directories, and does not need this.
  const folder = await fs.open(folderOf(path), "r").catch(() => undefined);
  try {
    await folder?.sync();
  } finally {
    await folder?.close();
  }
}

function* withHeader(header: Uint8Array, parts: Iterable<Uint8Array>): Generator<Uint8Array> {
  yield header;
  yield* parts;
}
