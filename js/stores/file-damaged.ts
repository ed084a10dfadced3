/** The file `<path>.damaged`, which keeps bytes that were found in the file of a store and are no records. Internal. */
import type { Span } from "./file-recovery.js";
import { FILE_MODE, type FileHandle, type Platform, readAt, writeAt } from "./file-system.js";

/** The maximum size of the file. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;

/** The file of the store. `name`: its path in messages. */
export interface DamagedFile {
  readonly path: string;
  readonly name: string;
  readonly isFlushed: boolean;
}

/** Appends parts of a file. */
export async function keepDamaged(
  { fs }: Platform,
  { path, name, isFlushed }: DamagedFile,
  spans: readonly Span[],
  source: FileHandle,
): Promise<void> {
  const size = spans.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0);
  if (size === 0) return;
  const handle = await fs.open(`${path}.damaged`, "a", FILE_MODE);
  try {
    let end = Number((await handle.stat({ bigint: true })).size);
    if (end + size > MAX_KEPT_BYTES) throw new Error(`${name}.damaged would have more than ${MAX_KEPT_BYTES} bytes`);
    for (const { from, to } of spans) {
      const bytes = await readAt(source, from, to - from);
      await writeAt(handle, end, bytes);
      end += bytes.length;
    }
    if (isFlushed) await handle.sync();
  } finally {
    await handle.close();
  }
}
