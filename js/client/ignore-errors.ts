/** Calls of functions of the application whose failure must change nothing. */

/** What the call returns, or undefined if it throws. A promise that it returns may reject without being awaited. */
export function ignoreErrors<T>(call: () => T): T | undefined {
  try {
    const result = call();
    if (typeof (result as PromiseLike<unknown> | null | undefined)?.then === "function")
      Promise.resolve(result).catch(() => undefined);
    return result;
  } catch {
    return undefined;
  }
}
