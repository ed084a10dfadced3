/** One process for one file: a lock beside it that says whose it is. Not for applications. */
import { FerryError } from "../engine/errors.js";
import { type Platform, codeOf } from "./file-system.js";
import { sleep } from "../platform/clock.js";

/**
 * Takes the lock, from a process that is gone too.
 *
 * @returns how to release it
 * @throws {FerryError} `ERR_STORE` if a process that runs has it
 */
export async function lockFile(platform: Platform, path: string): Promise<() => Promise<void>> {
  const { fs, process } = platform;
  const lock = `${path}.lock`;
  const mine = `${process.pid} ${(await startOf(platform, process.pid))?.start ?? "-"}\n`;
  // More than once, because the other may release it just now.
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await fs.writeFile(lock, mine, { flag: "wx" });
      return async () => {
        if ((await read(platform, lock)) === mine) await fs.unlink(lock);
      };
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    const theirs = await settled(platform, lock);
    if (theirs === undefined) continue;
    const [pid = "", start = ""] = theirs.trim().split(" ");
    const runs = await isRunning(platform, Number(pid), start);
    if (runs === undefined)
      throw new FerryError(
        "ERR_STORE",
        `the file ${path} is locked by process ${pid}, and we may not ask whether that still runs`,
      );
    if (runs) throw new FerryError("ERR_STORE", `the file ${path} is in use by process ${pid}`);
    await takeAway(platform, lock, theirs);
  }
  throw new FerryError("ERR_STORE", `the file ${path} is in use: its lock changes hands`);
}

/** What is in the lock. An empty one may be about to be written. */
async function settled(platform: Platform, lock: string): Promise<string | undefined> {
  const text = await read(platform, lock);
  if (text !== "") return text;
  await sleep(100);
  return read(platform, lock);
}

/**
 * Several may find the same stale lock. Who has the lock of the lock may take it away, after another look: without it, a slow one would take
 * away the new lock of a fast one.
 */
async function takeAway(platform: Platform, lock: string, stale: string): Promise<void> {
  const release = await lockFile(platform, lock);
  try {
    if ((await read(platform, lock)) === stale) await platform.fs.unlink(lock);
  } finally {
    await release();
  }
}

/** Undefined if nobody tells. */
async function isRunning(platform: Platform, pid: number, start: string): Promise<boolean | undefined> {
  if (!(pid > 0)) return false;
  const found = await startOf(platform, pid);
  // In a container the number of a process comes again after each start.
  if (found && start !== "-") return found.start === start && found.state !== "Z";
  try {
    platform.process.kill(pid, 0);
    return true;
  } catch (error) {
    // Deno does not tell without --allow-run.
    return codeOf(error) === "ESRCH" ? false : codeOf(error) === "EPERM" ? true : undefined;
  }
}

/** When a process was started, in the words of Linux; undefined on other systems. */
async function startOf(platform: Platform, pid: number): Promise<{ state: string; start: string } | undefined> {
  const text = await read(platform, `/proc/${pid}/stat`).catch(() => undefined);
  // The name of the program, in parentheses, may have anything in it.
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
