/** Topics from a file, where there are files: for `eventferry/node`. */
import { FerryError } from "../../engine/errors.js";
import { formatValue, mustBe } from "../../engine/messages.js";

interface FileSystem {
  readFileSync(path: string | URL, encoding: "utf8"): string;
}

/**
 * The text of a file with topics, YAML or JSON, for the option `topics` of a `BriteEventsClient`. It is read at once and
 * synchronously, as a program starts.
 *
 * @param path relative to the working directory, or a `file:` URL
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` if the file cannot be read, with the error of the runtime as `cause`, or in a
 * runtime without `process.getBuiltinModule` (Node has it since 20.16)
 * @example
 * const client = new BriteEventsClient({ serviceName: "orders", topics: fileTopics("./topics.yaml") });
 */
export function fileTopics(path: string | URL): string {
  if ((typeof path !== "string" || path === "") && !(path instanceof URL))
    throw mustBe("path", "the path of a file, or a file: URL", path);
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => FileSystem | undefined } };
  // Not imported: bundlers for browsers know no node:fs.
  const fileSystem = process?.getBuiltinModule?.("node:fs");
  if (!fileSystem)
    throw unreadable(path, "this runtime has no process.getBuiltinModule; read the file and pass its text");
  try {
    return fileSystem.readFileSync(path, "utf8").replace(/^\uFEFF/, "");
  } catch (cause) {
    throw unreadable(path, (cause as Error).message, cause);
  }
}

function unreadable(path: string | URL, reason: string, cause?: unknown): FerryError {
  const message = `the topics in ${formatValue(String(path))} cannot be read: ${reason}`;
  return new FerryError("ERR_INVALID_ARGUMENT", message, { cause });
}
