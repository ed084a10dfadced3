/** The errors of stores. Internal. */
import { FerryError } from "../engine/errors.js";

/** Codes of Node and Bun, and names of Deno and of browsers, of errors that time does not mend. */
const PERMANENT = new Set([
  "EACCES",
  "EISDIR",
  "ELOOP",
  "ENAMETOOLONG",
  "ENODEV",
  "ENOENT",
  "ENOTDIR",
  "EPERM",
  "EROFS",
  "ERR_ACCESS_DENIED",
  "FilesystemLoop",
  "IsADirectory",
  "NotADirectory",
  "NotCapable",
  "NotFound",
  "PermissionDenied",
  "ReferenceError",
  "SecurityError",
]);

/** An `ERR_STORE` for an error of a storage; the message names the storage. */
export function storeError(storage: string, cause: unknown): FerryError {
  if (cause instanceof FerryError) return cause;
  const { name = "", message = "", code } = (cause ?? {}) as Partial<Error> & { code?: unknown };
  // In old Firefox the name is NS_ERROR_DOM_QUOTA_REACHED. An aborted transaction may have no message.
  const problem = /quota/i.test(name) ? "the storage is full" : message || name || "the operation was aborted";
  const isPermanent = PERMANENT.has(String(code)) || PERMANENT.has(name);
  return new FerryError("ERR_STORE", `${storage}: ${problem}`, { cause, retryable: !isPermanent });
}

/** An `ERR_STORE` that time does not mend. */
export function permanentStoreError(message: string): FerryError {
  return new FerryError("ERR_STORE", message, { retryable: false });
}
