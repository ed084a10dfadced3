/** The parts of Node's modules that the file store uses. Deno and Bun have them too. Internal. */
import { FerryError } from "../engine/errors.js";
import type { Crc32 } from "./file-format.js";

/** An open file of `node:fs/promises`. */
export interface FileHandle {
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  datasync(): Promise<void>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/** The functions of `node:fs/promises`. */
export interface FileSystem {
  open(path: string, flags: string): Promise<FileHandle>;
  readFile(path: string): Promise<Uint8Array>;
  writeFile(path: string, text: string, options: { flag: string }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
}

/** The platform of a file store. Tests replace it. */
export interface Platform {
  readonly fs: FileSystem;
  readonly crc32: Crc32;
  /** The directory of a file. */
  folderOf(path: string): string;
  readonly process: Process;
}

interface Process {
  readonly pid: number;
  kill(pid: number, signal: 0): unknown;
  /** In Node since 20.16, Deno and Bun. Not `import()`: bundlers would follow it, or reject a computed name. */
  getBuiltinModule?(name: string): unknown;
}

/** Loads the modules. Rejects on platforms without files. */
export async function loadPlatform(): Promise<Platform> {
  const { process } = globalThis as { process?: Process };
  if (!process?.getBuiltinModule) throw noFiles();
  try {
    const load = <T>(name: string) => process.getBuiltinModule!(`node:${name}`) as T;
    const fs = load<FileSystem>("fs/promises");
    const path = load<{ dirname(path: string): string; resolve(path: string): string }>("path");
    const zlib = load<{ crc32?: Crc32 }>("zlib");
    return { fs, process, folderOf: (file) => path.dirname(path.resolve(file)), crc32: zlib.crc32 ?? crc32ByTable() };
  } catch (cause) {
    throw noFiles(cause);
  }
}

/** The code of a system error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | undefined)?.code;
}

function noFiles(cause?: unknown): FerryError {
  return new FerryError(
    "ERR_STORE",
    "fileStore needs Node 20.16 or later, Deno or Bun; this runtime has no files",
    cause === undefined ? {} : { cause },
  );
}

/** The CRC-32 for runtimes whose `zlib` has none. */
export function crc32ByTable(): Crc32 {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    return crc;
  });
  return (bytes) => {
    let crc = -1;
    for (let at = 0; at < bytes.length; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 255]!;
    return (crc ^ -1) >>> 0;
  };
}
