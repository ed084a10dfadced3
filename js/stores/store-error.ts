/** How stores say that something went wrong. Not for applications. */
import { FerryError } from "../engine/errors.js";

/** What a place threw, as an `ERR_STORE` that says which place. */
export function storeError(place: string, cause: unknown): FerryError {
  if (cause instanceof FerryError) return cause;
  const { name = "", message = "" } = (cause ?? {}) as Partial<Error>;
  // Old Firefox calls it NS_ERROR_DOM_QUOTA_REACHED. A transaction that was aborted may not say why.
  const what = /quota/i.test(name) ? "the storage is full" : message || name || "it broke off";
  return new FerryError("ERR_STORE", `${place}: ${what}`, { cause });
}
