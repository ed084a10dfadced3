/** Events of `localStorage`. */
import { hasPage } from "./page-lifecycle.js";

/**
 * Calls `onChange` when another page of this origin has set an item, or with `null` removed it. Returns the function that
 * stops it.
 */
export function watchStorage(onChange: (key: string, text: string | null) => void): () => void {
  if (!hasPage()) return () => undefined;
  const listener = (event: Event) => {
    const { key, newValue } = event as StorageEvent;
    if (key !== null) onChange(key, newValue);
  };
  window.addEventListener("storage", listener);
  return () => window.removeEventListener("storage", listener);
}
