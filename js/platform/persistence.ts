/** Whether the browser keeps what the site has stored, even if the disk is full or the site is not visited for long. */

/**
 * Asks the browser for that. Firefox asks the user, other browsers decide by how the site is used.
 *
 * @returns whether the browser agrees; false also where a browser cannot be asked, as in a worker; undefined where
 * there is no browser
 */
export async function requestPersistence(): Promise<boolean | undefined> {
  const { storage } = (globalThis.navigator ?? {}) as { storage?: { persist?(): Promise<boolean> } };
  if (typeof storage?.persist !== "function") return "indexedDB" in globalThis ? false : undefined;
  try {
    return await storage.persist();
  } catch {
    return false;
  }
}
