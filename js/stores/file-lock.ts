/**
 * The lock file beside a file, which names the process that uses the file. Internal.
 *
 * A lock whose process has ended is taken over: whoever creates `<lock>.lock` may replace the lock. If the process that
 * created that has ended too, whoever creates the next name may replace it. Each name is created by one process only,
 * and replaced only by the one that has created the name after it, so two never replace the same lock.
 *
 *     lock:  process id | its start, `-` if unknown | the thread, if it is not the main one
 */
import { FerryError } from "../engine/errors.js";
import { sleep } from "../platform/clock.js";
import { codeOf, FILE_MODE, isNoSpace, type Platform, writeAt } from "./file-system.js";
import { TextDecoder, TextEncoder } from "../platform/text.js";

/** A lock that this process has. */
export interface FileLock {
  /** Creates the lock file again if it was removed. Rejects with `ERR_STORE` if another process has the lock. */
  ensure(): Promise<void>;
  release(): Promise<void>;
}

/** How many processes may have ended while they took over the same lock. */
const MAX_NAMES = 4;
const MAX_ATTEMPTS = 5;
/** Another process may be about to write its lock. */
const SETTLE_MS = 100;

/**
 * Acquires the lock of a file. The lock of a process that has ended is taken over.
 *
 * @throws {FerryError} `ERR_STORE` if a running process has it
 */
export async function lockFile(platform: Platform, path: string): Promise<FileLock> {
  const { fs, process, thread } = platform;
  const lock = `${path}.lock`;
  const inUse = (by: string) => new FerryError("ERR_STORE", `the file ${path} is in use${by}`);
  if (ownLocks().has(lock)) throw inUse(` by process ${process.pid}`);
  ownLocks().add(lock);
  const own = `${process.pid} ${(await startOf(platform, process.pid))?.start ?? "-"} ${thread}`.trim();
  const acquire = async () => {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) if (await tryToLock(platform, path, lock, own)) return;
    throw inUse(": another process is taking over its lock; try again");
  };
  try {
    await acquire();
  } catch (error) {
    ownLocks().delete(lock);
    throw error;
  }
  return {
    async ensure() {
      if ((await read(platform, lock)) !== own) await acquire();
    },
    async release() {
      try {
        if ((await read(platform, lock)) === own) await fs.unlink(lock);
      } finally {
        ownLocks().delete(lock);
      }
    },
  };
}

/** Returns false if another process has interfered. */
async function tryToLock(platform: Platform, path: string, lock: string, own: string): Promise<boolean> {
  const names = [lock];
  const staleTexts: string[] = [];
  while (!(await create(platform, names[0]!, own))) {
    const text = await readSettled(platform, names[0]!);
    if (text === undefined) return false;
    await ensureStale(platform, path, text);
    if (names.length === MAX_NAMES) throw new FerryError("ERR_STORE", `delete the stale lock file ${names[0]}`);
    staleTexts.unshift(text);
    names.unshift(names.length === 1 ? `${lock}.lock` : `${lock}.${digest(text)}`);
  }
  // This process has created the last name. It replaces the stale ones, from the last to the first.
  for (const [index, text] of staleTexts.entries()) {
    const [held, next] = [names[index]!, names[index + 1]!];
    try {
      if ((await read(platform, next)) !== text) {
        await platform.fs.unlink(held);
        return false;
      }
      await platform.fs.rename(held, next);
    } catch (error) {
      await platform.fs.unlink(held).catch(() => undefined);
      throw error;
    }
  }
  return true;
}

/** Creates a lock file. Returns false if there is one. A failure leaves none. */
async function create(platform: Platform, name: string, text: string): Promise<boolean> {
  const { fs } = platform;
  try {
    const handle = await fs.open(name, "wx", FILE_MODE);
    try {
      await writeAt(handle, 0, new TextEncoder().encode(`${text}\n`));
    } catch (error) {
      await fs.unlink(name).catch(() => undefined);
      throw error;
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    if (!isNoSpace(error)) throw error;
    // A link needs no space on the disk for its target. A full outbox can be emptied only if it can be opened.
    return fs.symlink(text, name).then(
      () => true,
      (failure: unknown) => {
        if (codeOf(failure) === "EEXIST") return false;
        throw error;
      },
    );
  }
}

/** The text of the lock. An empty one may be about to be written, so it is read again after a moment. */
async function readSettled(platform: Platform, lock: string): Promise<string | undefined> {
  const text = await read(platform, lock);
  if (text !== "") return text;
  await sleep(SETTLE_MS);
  return read(platform, lock);
}

/** Throws if the process of a lock is running, or may be. */
async function ensureStale(platform: Platform, path: string, text: string): Promise<void> {
  const [pid = "", start = "", thread = ""] = text.split(" ");
  const isAlive = await isRunning(platform, Number(pid), start, thread);
  if (isAlive === undefined)
    throw new FerryError(
      "ERR_STORE",
      `the file ${path} is locked by process ${pid}; no permission to check whether it is still running`,
    );
  if (isAlive) throw new FerryError("ERR_STORE", `the file ${path} is in use by process ${pid}`);
}

/** Whether the process of a lock is running; undefined if that is unknown. */
async function isRunning(platform: Platform, pid: number, start: string, thread: string): Promise<boolean | undefined> {
  if (!(pid > 0)) return false;
  const found = await startOf(platform, pid);
  // In a container, process ids repeat after each start.
  if (found && start !== "-") return found.start === start && found.state !== "Z";
  // If this thread had the lock, `lockFile` would know. So it is that of a former process with the same id.
  if (pid === platform.process.pid) return thread !== platform.thread;
  try {
    platform.process.kill(pid, 0);
    return true;
  } catch (error) {
    // Deno throws another error without --allow-run.
    return codeOf(error) === "ESRCH" ? false : codeOf(error) === "EPERM" ? true : undefined;
  }
}

/** State and start time of a process, as Linux writes them; undefined on other systems, and without permission. */
async function startOf(platform: Platform, pid: number): Promise<{ state: string; start: string } | undefined> {
  const text = await read(platform, `/proc/${pid}/stat`).catch(() => undefined);
  // The program name, in parentheses, may contain spaces and parentheses.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields?.[19] === undefined ? undefined : { state: fields[0]!, start: fields[19] };
}

/** The lock files of this thread. Shared by all copies of this module: an application may load two. */
function ownLocks(): Set<string> {
  const holder = globalThis as { [key: symbol]: Set<string> | undefined };
  return (holder[Symbol.for("eventferry.locks")] ??= new Set());
}

/** The text of a file, or the target of a link that leads nowhere; undefined if there is neither. */
async function read({ fs }: Platform, path: string): Promise<string | undefined> {
  for (const attempt of [
    () => fs.readFile(path).then((bytes) => new TextDecoder().decode(bytes)),
    () => fs.readlink(path),
  ]) {
    try {
      return (await attempt()).trim();
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
  }
  return undefined;
}

/** Eight characters that differ for different texts. */
function digest(text: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
