/** The lock file beside a file, which names the process that uses the file. Internal. */
import { FerryError } from "../engine/errors.js";
import { sleep } from "../platform/clock.js";
import { codeOf, type Platform } from "./file-system.js";

/**
 * Acquires the lock of a file. The lock of a process that has ended is taken over.
 *
 * @returns the function that releases it
 * @throws {FerryError} `ERR_STORE` if a running process has it
 */
export async function lockFile(platform: Platform, path: string): Promise<() => Promise<void>> {
  const { fs, process } = platform;
  const lock = `${path}.lock`;
  const own = `${process.pid} ${(await startOf(platform, process.pid))?.start ?? "-"}\n`;
  // Several attempts, because the other process may be releasing it.
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await fs.writeFile(lock, own, { flag: "wx" });
      return async () => {
        if ((await read(platform, lock)) === own) await fs.unlink(lock);
      };
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    const theirs = await readSettled(platform, lock);
    if (theirs === undefined) continue;
    const [pid = "", start = ""] = theirs.trim().split(" ");
    const isAlive = await isRunning(platform, Number(pid), start);
    if (isAlive === undefined)
      throw new FerryError(
        "ERR_STORE",
        `the file ${path} is locked by process ${pid}; no permission to check whether it is still running`,
      );
    if (isAlive) throw new FerryError("ERR_STORE", `the file ${path} is in use by process ${pid}`);
    await removeStale(platform, lock, theirs);
  }
  throw new FerryError("ERR_STORE", `the file ${path} is in use: another process is taking over its lock; try again`);
}

/** The text of the lock. An empty one may be about to be written, so it is read again after a moment. */
async function readSettled(platform: Platform, lock: string): Promise<string | undefined> {
  const text = await read(platform, lock);
  if (text !== "") return text;
  await sleep(100);
  return read(platform, lock);
}

/**
 * Removes a stale lock. Several processes may find it, so the removal has a lock of its own and reads the text again:
 * otherwise a slow process would remove the new lock of a fast one.
 */
async function removeStale(platform: Platform, lock: string, stale: string): Promise<void> {
  const release = await lockFile(platform, lock);
  try {
    if ((await read(platform, lock)) === stale) await platform.fs.unlink(lock);
  } finally {
    await release();
  }
}

/** Whether a process is running; undefined if that is unknown. */
async function isRunning(platform: Platform, pid: number, start: string): Promise<boolean | undefined> {
  if (!(pid > 0)) return false;
  const found = await startOf(platform, pid);
  // In a container, process ids repeat after each start.
  if (found && start !== "-") return found.start === start && found.state !== "Z";
  try {
    platform.process.kill(pid, 0);
    return true;
  } catch (error) {
    // Deno throws another error without --allow-run.
    return codeOf(error) === "ESRCH" ? false : codeOf(error) === "EPERM" ? true : undefined;
  }
}

/** State and start time of a process, as Linux writes them; undefined on other systems. */
async function startOf(platform: Platform, pid: number): Promise<{ state: string; start: string } | undefined> {
  const text = await read(platform, `/proc/${pid}/stat`).catch(() => undefined);
  // The program name, in parentheses, may contain spaces and parentheses.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields?.[19] === undefined ? undefined : { state: fields[0]!, start: fields[19] };
}

async function read({ fs }: Platform, path: string): Promise<string | undefined> {
  try {
    return new TextDecoder().decode(await fs.readFile(path));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
