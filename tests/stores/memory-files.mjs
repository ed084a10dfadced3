// A platform for the file store whose files are in memory: fast, and with a disk that can be full.

const error = (code, path) => Object.assign(new Error(`${code}: ${path}`), { code });
const MODE_OF_FILE = 0o100000;

/**
 * @param options.capacity how many bytes all files may have together. It may be changed
 * @param options.crc32 the checksum
 * @param options.salt where the salts start
 * @returns the platform, and its files by path: `{ data, mode, ino, flushed }`, where `flushed` is what a loss of power
 * leaves
 */
export function memoryFiles({ capacity = Infinity, crc32, salt = 0x5eed0000 } = {}) {
  const files = new Map();
  const links = new Map();
  const disk = { capacity, files, links };
  let inodes = 0;
  const used = () => [...files.values()].reduce((sum, { data }) => sum + data.length, 0);

  const statOf = (file) => ({
    dev: 1n,
    ino: BigInt(file.ino),
    size: BigInt(file.data.length),
    mode: BigInt(MODE_OF_FILE | file.mode),
    isFile: () => true,
  });
  const found = (path) => {
    if (!files.has(path)) throw error("ENOENT", path);
    return files.get(path);
  };
  const handleOf = (file) => ({
    async read(into, offset, length, position) {
      const part = file.data.subarray(position, position + length);
      into.set(part, offset);
      return { bytesRead: part.length };
    },
    async write(bytes, offset, length, position) {
      const end = position + length;
      if (end > file.data.length) {
        const room = disk.capacity - used();
        if (end - file.data.length > room) throw error("ENOSPC", "write");
        const larger = new Uint8Array(end);
        larger.set(file.data);
        file.data = larger;
      }
      file.data.set(bytes.subarray(offset, offset + length), position);
      return { bytesWritten: length };
    },
    async truncate(length) {
      const data = new Uint8Array(length);
      data.set(file.data.subarray(0, length));
      file.data = data;
    },
    stat: async () => statOf(file),
    async chmod(mode) {
      file.mode = mode;
    },
    async datasync() {
      file.flushed = file.data.slice();
    },
    async sync() {
      file.flushed = file.data.slice();
    },
    close: async () => undefined,
  });

  const fs = {
    async open(path, flags, mode = 0o666) {
      if (path === "/") throw error("EISDIR", path);
      const exists = files.has(path) || links.has(path);
      if (flags.includes("x") && exists) throw error("EEXIST", path);
      if (flags.startsWith("r") && !files.has(path)) throw error("ENOENT", path);
      if (!files.has(path)) files.set(path, { data: new Uint8Array(0), mode, ino: ++inodes });
      if (flags.startsWith("w")) files.get(path).data = new Uint8Array(0);
      return handleOf(files.get(path));
    },
    readFile: async (path) => found(path).data.slice(),
    stat: async (path) => statOf(found(path)),
    async realpath(path) {
      found(path);
      return path;
    },
    async rename(from, to) {
      if (links.has(from)) {
        links.set(to, links.get(from));
        links.delete(from);
        files.delete(to);
        return;
      }
      files.set(to, found(from));
      files.delete(from);
      links.delete(to);
    },
    async unlink(path) {
      if (!files.delete(path) && !links.delete(path)) throw error("ENOENT", path);
    },
    async symlink(target, path) {
      if (files.has(path) || links.has(path)) throw error("EEXIST", path);
      links.set(path, target);
    },
    async readlink(path) {
      if (files.has(path)) throw error("EINVAL", path);
      if (!links.has(path)) throw error("ENOENT", path);
      return links.get(path);
    },
  };
  let salts = 0;
  const platform = {
    fs,
    crc32,
    folderOf: () => "/",
    resolve: (path) => path,
    thread: "",
    randomSalt: () => salt + ++salts,
    process: { pid: 42, kill: () => true },
  };
  return { platform, disk, files, links };
}
