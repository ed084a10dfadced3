/** As much of Node's modules as a file store uses; Deno and Bun have them too. Not for applications. */
import { FerryError } from "../engine/errors.js";
import type { Crc32 } from "./file-format.js";

export interface FileHandle {
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  datasync(): Promise<void>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/** `node:fs/promises`. */
export interface FileSystem {
  open(path: string, flags: string): Promise<FileHandle>;
  readFile(path: string): Promise<Uint8Array>;
  writeFile(path: string, text: string, options: { flag: string }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
}

export interface Platform {
  readonly fs: FileSystem;
  readonly crc32: Crc32;
  /** The folder that a file is in. */
  folderOf(path: string): string;
  readonly process: Process;
}

interface Process {
  readonly pid: number;
  kill(pid: number, signal: 0): unknown;
  /** Node since 20.16, Deno, Bun. Bundlers do not follow it, and those for Workers refuse an `import` of a name that is put together. */
  getBuiltinModule?(name: string): any;
}

/** Rejects where there are no files. */
export async function loadPlatform(): Promise<Platform> {
  const { process } = globalThis as { process?: Process };
  if (!process?.getBuiltinModule) throw noFiles();
  try {
    const [fs, path, zlib] = ["fs/promises", "path", "zlib"].map((name) => process.getBuiltinModule!(`node:${name}`));
    return { fs, process, folderOf: (file) => path.dirname(path.resolve(file)), crc32: zlib.crc32 ?? crc32ByTable() };
  } catch (cause) {
    throw noFiles(cause);
  }
}

/** The code of an error of the system, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | undefined)?.code;
}

function noFiles(cause?: unknown): FerryError {
  return new FerryError(
    "ERR_STORE",
    "a file store needs the files of Node (20.16 or later), Deno or Bun, which this runtime does not have",
    cause === undefined ? {} : { cause },
  );
}

/** For runtimes whose `zlib` has none. */
export function crc32ByTable(): Crc32 {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
    return byte;
  });
  return (bytes) => {
    let crc = -1;
    for (let at = 0; at < bytes.length; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 255]!;
    return (crc ^ -1) >>> 0;
  };
}
