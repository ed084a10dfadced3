/** The parts of Node's modules that the file store uses. Deno and Bun have them too. Internal. */
import type { Bytes } from "../platform/bytes.js";
import { FerryError } from "../engine/errors.js";
import type { Crc32 } from "./file-format.js";
import { permanentStoreError } from "./store-error.js";

/** What `stat` tells of a file, with `{ bigint: true }`: on Windows, `ino` is too large for a number. */
export interface FileStat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mode: bigint;
  isFile(): boolean;
}

/** An open file of `node:fs/promises`. */
export interface FileHandle {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  stat(options: { bigint: true }): Promise<FileStat>;
  chmod(mode: number): Promise<void>;
  datasync(): Promise<void>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/** The functions of `node:fs/promises`. */
export interface FileSystem {
  open(path: string, flags: string, mode?: number): Promise<FileHandle>;
  readFile(path: string): Promise<Uint8Array>;
  stat(path: string, options: { bigint: true }): Promise<FileStat>;
  realpath(path: string): Promise<string>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
}

/** The platform of a file store. Tests replace it. */
export interface Platform {
  readonly fs: FileSystem;
  readonly crc32: Crc32;
  /** The directory of a file. */
  folderOf(path: string): string;
  /** The absolute path of a file. */
  resolve(path: string): string;
  /** The number of the worker thread; empty in the main thread. */
  readonly thread: string;
  /** A random number from 1 to 2^32 - 1 that nobody can foresee. */
  randomSalt(): number;
  readonly process: Process;
}

interface Process {
  readonly pid: number;
  kill(pid: number, signal: 0): unknown;
  /** In Node since 20.16, Deno and Bun. Not `import()`: bundlers would follow it, or reject a computed name. */
  getBuiltinModule?(name: string): unknown;
}

/** Only the user of the process may read and write the files of a store: events may be private. */
export const FILE_MODE = 0o600;

/** What the runtimes read at once. A file that is larger cannot be opened. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

/** Loads the modules. Rejects on platforms without files. */
export async function loadPlatform(): Promise<Platform> {
  const { process } = globalThis as { process?: Process };
  if (!process?.getBuiltinModule) throw noFiles();
  try {
    const load = <T>(name: string) => process.getBuiltinModule!(`node:${name}`) as T;
    const fs = load<FileSystem>("fs/promises");
    const path = load<{ dirname(path: string): string; resolve(path: string): string }>("path");
    const zlib = load<{ crc32?: Crc32 }>("zlib");
    const crypto = load<{ randomInt(min: number, max: number): number }>("crypto");
    const { threadId } = load<{ threadId: number } | undefined>("worker_threads") ?? { threadId: 0 };
    return {
      fs,
      process,
      resolve: path.resolve,
      thread: threadId > 0 ? String(threadId) : "",
      folderOf: (file) => path.dirname(path.resolve(file)),
      randomSalt: () => crypto.randomInt(1, 2 ** 32),
      crc32: zlib.crc32 ?? crc32ByTable(),
    };
  } catch (cause) {
    throw noFiles(cause);
  }
}

/** The code of a system error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | undefined)?.code;
}

/** Whether an error says that there is no space: on the disk, in a quota, or up to the size limit of a file. */
export function isNoSpace(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT", "EFBIG"].includes(codeOf(error) ?? "");
}

/** What `stat` tells of a path; undefined if there is nothing. */
export async function statOf({ fs }: Platform, path: string): Promise<FileStat | undefined> {
  try {
    return await fs.stat(path, { bigint: true });
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Refuses devices, pipes and directories, and files that are too large for the memory. */
export function checkRegular(name: string, found: FileStat | undefined): void {
  if (!found) return;
  if (!found.isFile()) throw permanentStoreError(`${name} is not a regular file`);
  if (found.size > MAX_FILE_BYTES) throw permanentStoreError(`the file ${name} has more than ${MAX_FILE_BYTES} bytes`);
}

/** Reads `length` bytes, or fewer if the file ends. Not up to the end of the file: some have none. */
export async function readAt(handle: FileHandle, position: number, length: number): Promise<Bytes> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** Writes all bytes. */
export async function writeAt(handle: FileHandle, position: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new Error("nothing was written");
    done += bytesWritten;
  }
}

function noFiles(cause?: unknown): FerryError {
  return new FerryError("ERR_STORE", "fileStore needs Node 20.16 or later, Deno or Bun; this runtime has no files", {
    retryable: false,
    cause,
  });
}

/** The CRC-32 for runtimes whose `zlib` has none. */
export function crc32ByTable(): Crc32 {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    return crc;
  });
  return (bytes, seed = 0) => {
    let crc = ~seed;
    for (let at = 0; at < bytes.length; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 255]!;
    return ~crc >>> 0;
  };
}
