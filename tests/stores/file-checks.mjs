// The failures of a file: cut, damaged, full disk, in use, killed process.
import { spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fileStore } from "../../dist/stores/file.js";
import { crc32ByTable, loadPlatform } from "../../dist/stores/file-system.js";
import { change, deadKeys, deadLetter, equal, keys, rejects, segment } from "./contract.mjs";

/** The size of a file without changes. */
const EMPTY_BYTES = 20;

const CHECKS = {
  async "open returns the durability"(path) {
    const traits = async (options) => {
      const store = fileStore(path, options);
      const traits = await store.open("x");
      await store.close();
      return traits;
    };
    equal(await traits(), { durability: "disk", isShared: false, supportsPrefix: true });
    equal(await traits({ durability: "os" }), { durability: "os", isShared: false, supportsPrefix: true });
    equal(readdirSync(join(path, "..")), ["log"], "the files in the directory");
  },

  async "a file that is cut in its last record keeps the others"(path) {
    const lengths = [];
    await withStore(path, async (store) => {
      for (const key of ["a", "b", "c"]) {
        await store.write(
          change({
            put: [segment(key, ["1", "2"], { orderingKeys: [1, 2] })],
            deadPut: [deadLetter(key)],
            remove: ["no"],
            deadRemove: ["no"],
          }),
        );
        lengths.push(statSync(path).size);
      }
    });
    const whole = readFileSync(path);
    for (let length = lengths[1]; length < lengths[2]; length++) {
      writeFileSync(path, whole.subarray(0, length));
      await withStore(path, async (store) => {
        equal(await keys(store), ["a", "b"], `the content of ${length} bytes`);
        equal(statSync(path).size, lengths[1]);
        await store.write(change({ put: [segment("d")] }));
      });
      await withStore(path, async (store) =>
        equal(
          [await keys(store), await deadKeys(store)],
          [
            ["a", "b", "d"],
            ["a", "b"],
          ],
        ),
      );
    }
    for (let length = 0; length <= EMPTY_BYTES; length++) {
      writeFileSync(path, whole.subarray(0, length));
      await withStore(path, async (store) => equal(await keys(store), []));
    }
  },

  async "zeros or garbage after the last record are dropped"(path) {
    for (const tail of [new Uint8Array(5), new Uint8Array(5000), Buffer.from("garbage".repeat(50))]) {
      rmSync(path, { force: true });
      await withStore(path, (store) => store.write(change({ put: [segment("a")] })));
      const { size } = statSync(path);
      appendFileSync(path, tail);
      await withStore(path, async (store) => equal(await keys(store), ["a"]));
      equal(statSync(path).size, size);
    }
  },

  async "a flipped bit loses one change only"(path) {
    const lengths = [EMPTY_BYTES];
    await withStore(path, async (store) => {
      for (const key of ["a", "b", "c", "d"]) {
        await store.write(change({ put: [segment(key)] }));
        lengths.push(statSync(path).size);
      }
    });
    const whole = readFileSync(path);
    for (let at = lengths[1]; at < lengths[2]; at++) {
      const damaged = Buffer.from(whole);
      damaged[at] ^= 1 << (at % 8);
      writeFileSync(path, damaged);
      await withStore(path, async (store) => {
        equal(await keys(store), ["a", "c", "d"], `the content with a flipped bit in byte ${at}`);
        await store.write(change({ put: [segment("e")] }));
      });
      await withStore(path, async (store) => equal(await keys(store), ["a", "c", "d", "e"]));
    }
  },

  async "a file that is not an outbox is not touched"(path) {
    for (const text of ["my diary", "x".repeat(5000), "eventferry outbox 2\nabc"]) {
      writeFileSync(path, text);
      const error = await rejects(fileStore(path).open("x"));
      if (!error.message.includes("is not an outbox")) throw new Error(error.message);
      equal(readFileSync(path, "utf8"), text);
    }
    equal(readdirSync(join(path, "..")), ["log"]);
  },

  async "only the user of the process can read the files"(path) {
    if (process.platform === "win32") return;
    writeFileSync(path, "", { mode: 0o644 });
    const modeOf = (name) => statSync(name).mode & 0o777;
    await withStore(path, async (store) => {
      equal([modeOf(path), modeOf(`${path}.lock`)], [0o600, 0o600]);
      for (const key of ["a", "b"]) await store.write(change({ put: [segment(key)] }));
    });
    const damaged = readFileSync(path);
    damaged[40] ^= 1;
    writeFileSync(path, damaged);
    await withStore(path, async (store) => equal(await keys(store), ["b"]));
    equal([modeOf(path), modeOf(`${path}.damaged`)], [0o600, 0o600]);
  },

  async "devices, pipes and directories are refused"(path) {
    if (process.platform === "win32") return;
    await new Promise((resolve) => spawn("mkfifo", [path]).once("close", resolve));
    for (const name of ["/dev/zero", "/dev/null", path, join(path, "..")]) {
      const { message } = await rejects(fileStore(name).open("x"));
      equal(message, `${name} is not a regular file`);
    }
    equal(readdirSync(join(path, "..")), ["log"]);
    equal(existsSync("/dev/zero.lock"), false);
  },

  async "a link to a file stays a link"(path) {
    if (process.platform === "win32") return;
    const link = `${path}-link`;
    writeFileSync(path, "");
    symlinkSync(path, link);
    await withStore(link, async (store) => {
      await rejects(fileStore(path).open("x"));
      const large = "1".repeat(400_000);
      for (let n = 0; n < 8; n++) await store.write(change({ put: [segment("a", [large])] }));
    });
    equal(lstatSync(link).isSymbolicLink(), true);
    await withStore(path, async (store) => equal(await keys(store), ["a"]));
    equal(statSync(path).size < 1_000_000, true, "whether the file was rewritten");
  },

  async "a file that is removed or truncated while it is in use is written again"(path) {
    for (const act of [() => unlinkSync(path), () => renameSync(path, `${path}.1`), () => truncateSync(path, 0)]) {
      const problems = [];
      const store = fileStore(path);
      await store.open("x", (problem) => problems.push(problem.message));
      await store.write(change({ put: [segment("a")] }));
      act();
      await store.write(change({ put: [segment("b")] }));
      equal(problems.length, 1, "the number of problems");
      equal(statSync(path).mode & 0o777, 0o600);
      await store.close();
      await withStore(path, async (store) => {
        equal(await keys(store), ["a", "b"]);
        await store.write(change({ remove: ["a", "b"] }));
      });
    }
  },

  async "open rejects without a directory, or where no file can be created"(path) {
    await rejects(fileStore(join(path, "../no/log")).open("x"));
    await rejects(fileStore(join(path, "..")).open("x"));
    const store = fileStore(path);
    await rejects(store.peek({ events: 1, bytes: 1, skip: new Set() }));
    await rejects(store.write(change({})).then(() => store.write(change({ put: [segment("a")] }))));
  },

  ...Object.fromEntries(
    [
      ["ENOSPC, nothing written", { write: () => 0 }],
      ["ENOSPC, half written", { write: (length) => length >> 1 }],
      ["EIO when it is flushed", { datasync: true }],
      ["EIO when it is flushed, and it cannot be cut off", { datasync: true, truncate: true }],
      ["ENOSPC, half written, and it cannot be cut off", { write: (length) => length >> 1, truncate: true }],
    ].map(([name, faults]) => [
      `a change that fails leaves the file unchanged: ${name}`,
      async (path) => {
        const disk = {};
        const store = fileStore(path, { platform: await faultyPlatform(disk) });
        await store.open("x");
        await store.write(change({ put: [segment("a"), segment("b")] }));
        const { size } = statSync(path);
        Object.assign(disk, faults);
        const lost = ["c", "d"].map((key) => rejects(store.write(change({ put: [segment(key)], remove: ["a"] }))));
        for (const error of await Promise.all(lost)) equal(error.cause.code, faults.write ? "ENOSPC" : "EIO");
        equal(await keys(store), ["a", "b"]);
        if (!faults.truncate) equal(statSync(path).size, size);
        else await rejects(store.write(change({ put: [segment("e")] })));
        for (const name of Object.keys(disk)) delete disk[name];
        await store.write(change({ put: [segment("f")], remove: ["b"] }));
        equal(await keys(store), ["a", "f"]);
        await store.close();
        await withStore(path, async (store) => equal(await keys(store), ["a", "f"]));
      },
    ]),
  ),

  async "partial writes are continued"(path) {
    const store = fileStore(path, { platform: await faultyPlatform({ portion: 3 }) });
    await store.open("x");
    await store.write(change({ put: [segment("a"), segment("b")] }));
    await store.close();
    await withStore(path, async (store) => equal(await keys(store), ["a", "b"]));
  },

  async "a full file rejects changes and works again with space"(path) {
    // The shell limits the size of a file. A write beyond the limit fails like one to a full disk.
    const { code, output } = await child(["full", path], { limit: 64 });
    if (code !== 0) throw new Error(output);
    await withStore(path, async (store) => equal((await keys(store)).slice(-1), ["z"]));
  },

  async "concurrent changes share a flush"(path) {
    const disk = { count: 0 };
    const store = fileStore(path, { platform: await faultyPlatform(disk) });
    await store.open("x");
    disk.count = 0;
    await Promise.all(Array.from({ length: 50 }, (_, n) => store.write(change({ put: [segment(`k${n}`)] }))));
    equal(disk.count, 1, "the number of flushes");
    const first = store.write(change({ put: [segment("x")] }));
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([first, ...Array.from({ length: 50 }, (_, n) => store.write(change({ remove: [`k${n}`] })))]);
    equal(disk.count <= 3, true, "whether the waiting changes shared a flush");
    await store.close();
  },

  async "the file of an empty outbox is empty"(path) {
    await withStore(path, async (store) => {
      for (let round = 0; round < 5; round++) {
        await store.write(change({ put: [segment("a", ["1".repeat(round * 1000)])], deadPut: [deadLetter("b")] }));
        await store.write(change({ remove: ["a"] }));
        await store.write(change({ deadRemove: ["b"] }));
        await store.write(change({}));
        equal(statSync(path).size, EMPTY_BYTES);
      }
    });
  },

  async "a rewrite keeps the content and shrinks the file"(path) {
    const text = "1".repeat(10_000);
    const name = (n) => `k${String(n).padStart(4, "0")}`;
    let largest = 0;
    await withStore(path, async (store) => {
      await store.write(
        change({
          put: [segment("0", ["1", "2"], { orderingKeys: [4, 5], at: 77 })],
          deadPut: [deadLetter("a"), deadLetter("b")],
        }),
      );
      for (let n = 0; n < 1000; n++) {
        await store.write(change({ put: [segment(name(n), [text])], remove: n >= 20 ? [name(n - 20)] : [] }));
        largest = Math.max(largest, statSync(path).size);
      }
      await store.write(change({ put: [segment("z")] }));
    });
    if (largest > 1.2e6) throw new Error(`the file grew to ${largest} bytes`);
    equal(readdirSync(join(path, "..")), ["log"]);
    await withStore(path, async (store) => {
      equal(await keys(store), ["0", ...Array.from({ length: 20 }, (_, n) => name(n + 980)), "z"]);
      equal(
        (await store.peek({ events: 1, bytes: 1, skip: new Set() }))[0],
        segment("0", ["1", "2"], { orderingKeys: [4, 5], at: 77 }),
      );
      equal(await store.dead(9), [deadLetter("a"), deadLetter("b")]);
    });
  },

  async "a failed rewrite changes nothing"(path) {
    const disk = {};
    const store = fileStore(path, { platform: await faultyPlatform(disk) });
    await store.open("x");
    const text = "1".repeat(100_000);
    disk.rename = true;
    for (let n = 0; n < 40; n++) await store.write(change({ put: [segment(`k${n % 2}`, [text]), segment(`n${n}`)] }));
    if (statSync(path).size < 3e6) throw new Error("the file was rewritten");
    equal(readdirSync(join(path, "..")).sort(), ["log", "log.lock"]);
    delete disk.rename;
    for (let n = 0; n < 60; n++) await store.write(change({ put: [segment(`k${n % 2}`, [text])] }));
    if (statSync(path).size > 2e6) throw new Error("the file was not rewritten later");
    equal((await keys(store)).length, 42);
    await store.close();
    await withStore(path, async (store) => equal((await keys(store)).length, 42));
  },

  async "the remains of an interrupted rewrite are removed"(path) {
    writeFileSync(`${path}.new`, "eventferry outbox 1\nrest");
    await withStore(path, async (store) => equal(await keys(store), []));
    equal(existsSync(`${path}.new`), false);
  },

  async "a second store in the same process is rejected"(path) {
    await withStore(path, async () => {
      const error = await rejects(fileStore(path).open("x"));
      equal(error.message.endsWith(`in use by process ${process.pid}`), true, error.message);
    });
    await withStore(path, async () => undefined);
  },

  async "a running process keeps the file, one that has ended does not"(path) {
    const holder = spawnChild(["hold", path]);
    await holder.line;
    const error = await rejects(fileStore(path).open("x"));
    equal(error.message.endsWith(`in use by process ${holder.pid}`), true, error.message);
    holder.kill("SIGKILL");
    await holder.ended;
    await withStore(path, async (store) => equal(await keys(store), ["held"]));
  },

  async "a lock is stale if its process id belongs to another process"(path) {
    const everywhere = ["", "nonsense", `${process.pid} -\n`];
    const onLinux = ["1 99999999999\n", "4194305 5\n", `${process.pid} 1\n`];
    for (const text of process.platform === "linux" ? [...everywhere, ...onLinux] : everywhere) {
      writeFileSync(`${path}.lock`, text);
      await withStore(path, async () => undefined);
    }
    equal(readdirSync(join(path, "..")), ["log"]);
  },

  async "without permission for /proc, a lock with the own process id is that of a former process"(path) {
    const platform = await loadPlatform();
    const readFile = (name) =>
      name.startsWith("/proc/") ? Promise.reject(new Error("not permitted")) : platform.fs.readFile(name);
    const blind = { ...platform, fs: { ...platform.fs, readFile } };
    writeFileSync(`${path}.lock`, `${process.pid} -\n`);
    const store = fileStore(path, { platform: blind });
    await store.open("x");
    equal(readFileSync(`${path}.lock`, "utf8"), `${process.pid} -\n`);
    // But not while this process has it, or another thread.
    await rejects(fileStore(path, { platform: blind }).open("x"));
    await rejects(fileStore(path, { platform: { ...blind, thread: "1" } }).open("x"));
    await store.close();
    writeFileSync(`${path}.lock`, `${process.pid} - 1\n`);
    await rejects(fileStore(path, { platform: blind }).open("x"));
    const thread = fileStore(path, { platform: { ...blind, thread: "1" } });
    await thread.open("x");
    await thread.close();
    equal(readdirSync(join(path, "..")), ["log"]);
  },

  async "locks that processes have left while they took over a lock are taken over too"(path) {
    // The third name has a checksum of the text of the second.
    for (const text of ["4194306 5", "4194307 6"]) {
      writeFileSync(`${path}.lock`, "4194305 5\n");
      writeFileSync(`${path}.lock.lock`, `${text}\n`);
      const platform = await loadPlatform();
      const left = { ...platform, fs: { ...platform.fs } };
      // A process that ends before it replaces the second name.
      left.fs.rename = left.fs.unlink = async () => {
        throw new Error("killed");
      };
      await rejects(fileStore(path, { platform: left }).open("x"));
      equal(readdirSync(join(path, "..")).length, 3 + Number(existsSync(path)));
      for (const name of readdirSync(join(path, "..")).filter((name) => /^log\.lock\.[0-9a-f]{8}$/.test(name)))
        writeFileSync(join(path, "..", name), "4194308 7\n");
      await withStore(path, async () => undefined);
      equal(readdirSync(join(path, "..")), ["log"]);
    }
  },

  async "of ten stores that race for a stale lock, one gets it"(path) {
    for (let round = 0; round < 20; round++) {
      writeFileSync(`${path}.lock`, "4194305 5\n");
      if (round % 2) writeFileSync(`${path}.lock.lock`, "4194306 5\n");
      const stores = Array.from({ length: 10 }, () => fileStore(path));
      const got = await Promise.allSettled(stores.map((store) => store.open("x")));
      for (const [at, { status }] of got.entries()) if (status === "fulfilled") await stores[at].close();
      equal(got.filter(({ status }) => status === "fulfilled").length <= 1, true, "whether at most one got the lock");
      await withStore(path, async () => undefined);
      equal(readdirSync(join(path, "..")), ["log"]);
    }
  },

  async "of six processes that race for a stale lock, one gets it"(path) {
    for (let round = 0; round < 3; round++) {
      writeFileSync(`${path}.lock`, "4194305 5\n");
      const racers = Array.from({ length: 6 }, () => spawnChild(["race", path]));
      await Promise.all(racers.map(({ line }) => line));
      const got = racers.filter((racer) => racer.output().startsWith("got it")).length;
      for (const racer of racers) racer.kill("SIGKILL");
      await Promise.all(racers.map(({ ended }) => ended));
      equal(got, 1, "the number of processes with the lock");
    }
  },

  async "resolved changes survive 20 kills during writes"(path) {
    const resolved = new Set();
    let written = 0;
    for (let round = 0; round < 20; round++) {
      const writer = spawnChild(["write", path, String(round)]);
      await writer.line;
      await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 100));
      writer.kill("SIGKILL");
      await writer.ended;
      for (const line of writer.output().split("\n").slice(0, -1)) {
        if (line.startsWith("+")) written += Number(!!resolved.add(line.slice(1)));
        if (line.startsWith("-")) resolved.delete(line.slice(1));
      }
      await withStore(path, async (store) => {
        const there = new Set(await keys(store));
        for (const key of resolved) if (!there.has(key)) throw new Error(`round ${round}: ${key} is lost`);
        for (const found of await store.peek({ events: Infinity, bytes: Infinity, skip: new Set() })) {
          equal(
            found.body.length,
            found.sizes.reduce((sum, size) => sum + size + 1, -1),
            "the length of a body",
          );
        }
      });
    }
    if (written < 100) throw new Error(`only ${written} were written in all`);
    return `${written} segments`;
  },

  async "both CRC-32 implementations agree"() {
    const { crc32 } = await loadPlatform();
    const byTable = crc32ByTable();
    equal(byTable(new TextEncoder().encode("123456789")), 0xcbf43926);
    for (let length = 0; length < 300; length += 7) {
      const bytes = Uint8Array.from({ length }, (_, at) => at * length);
      equal(byTable(bytes), crc32(bytes));
    }
  },

  async "400 segments of 250 events need little CPU time"(path) {
    const texts = Array.from({ length: 250 }, (_, n) => JSON.stringify({ id: n, data: "x".repeat(100) }).padEnd(120));
    const all = Array.from({ length: 400 }, (_, n) => segment(`k${1000 + n}`, texts));
    return withStore(path, async (store) => {
      const before = process.cpuUsage();
      const start = performance.now();
      for (const one of all) await store.write(change({ put: [one] }));
      const ms = performance.now() - start;
      const { user, system } = process.cpuUsage(before);
      const cpu = (user + system) / 1000;
      // The limit is for slow machines; a fast one needs a tenth of it.
      if (cpu > 1000) throw new Error(`${cpu} ms`);
      return `${cpu.toFixed(0)} ms of CPU time, ${ms.toFixed(0)} ms in total, ${(statSync(path).size / 1e6).toFixed(1)} MB`;
    });
  },
};

/** @returns {Promise<{ name: string, problem?: string, remark?: string }[]>} */
export async function fileChecks() {
  const results = [];
  for (const [name, check] of Object.entries(CHECKS)) {
    const folder = mkdtempSync(join(tmpdir(), "eventferry-file-"));
    try {
      const remark = await check(join(folder, "log"));
      results.push({ name, remark });
    } catch (error) {
      results.push({ name, problem: String(error?.stack ?? error) });
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  return results;
}

async function withStore(path, body) {
  const store = fileStore(path);
  await store.open("x");
  try {
    return await body(store);
  } finally {
    await store.close();
  }
}

/**
 * The real platform with faults. The members of `disk` select them, and may change: `write` returns how many bytes are
 * written before the disk is full; `datasync`, `truncate` and `rename` fail; `portion` limits each write. `count` is the
 * number of flushes.
 */
async function faultyPlatform(disk) {
  const platform = await loadPlatform();
  const broken = (code) => Object.assign(new Error(`${code}: on purpose`), { code });
  const handleOf = (handle) => ({
    async write(bytes, offset, length, position) {
      if (disk.write) {
        const some = disk.write(length);
        if (some === 0 || some === length) throw broken("ENOSPC");
        disk.write = () => 0;
        return handle.write(bytes, offset, some, position);
      }
      return handle.write(bytes, offset, Math.min(length, disk.portion ?? length), position);
    },
    async datasync() {
      if (disk.datasync) throw broken("EIO");
      disk.count++;
      return handle.datasync();
    },
    async truncate(length) {
      if (disk.truncate) throw broken("EIO");
      return handle.truncate(length);
    },
    ...Object.fromEntries(
      ["read", "stat", "chmod", "sync", "close"].map((name) => [name, (...args) => handle[name](...args)]),
    ),
  });
  const fs = { ...platform.fs };
  fs.open = async (...args) => handleOf(await platform.fs.open(...args));
  fs.rename = async (...args) => {
    if (disk.rename && args[0].endsWith(".new")) throw broken("EACCES");
    return platform.fs.rename(...args);
  };
  return { ...platform, fs };
}

/** @param options.limit the maximum size of a file in KiB */
function spawnChild(args, { limit } = {}) {
  const program = [process.execPath, fileURLToPath(new URL("file-child.mjs", import.meta.url)), ...args];
  const child = limit
    ? spawn("sh", ["-c", `ulimit -f ${limit * 2}; exec "$@"`, "sh", ...program], {
        stdio: ["ignore", "pipe", "inherit"],
      })
    : spawn(program[0], program.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8");
  const line = new Promise((resolve) => {
    child.stdout.on("data", (text) => {
      output += text;
      if (output.includes("\n")) resolve();
    });
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  return {
    pid: child.pid,
    line: Promise.race([line, ended]),
    ended,
    output: () => output,
    kill: (signal) => child.kill(signal),
  };
}

async function child(args, options) {
  const { ended, output } = spawnChild(args, options);
  return { code: await ended, output: output() };
}
