/** The errors of stores. Internal. */
import { FerryError } from "../engine/errors.js";

/** An `ERR_STORE` for an error of a storage; the message names the storage. */
export function storeError(storage: string, cause: unknown): FerryError {
  if (cause instanceof FerryError) return cause;
  const { name = "", message = "" } = (cause ?? {}) as Partial<Error>;
  // In old Firefox the name is NS_ERROR_DOM_QUOTA_REACHED. An aborted transaction may have no message.
  const problem = /quota/i.test(name) ? "the storage is full" : message || name || "the operation was aborted";
  return new FerryError("ERR_STORE", `${storage}: ${problem}`, { cause });
}
