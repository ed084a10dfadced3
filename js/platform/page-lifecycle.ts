/** Signals that a page is hidden, shown, closed or navigated away from. */

/** What an outbox wants to know of its page. */
export interface PageWatcher {
  /** Hidden, or about to end. `isEnding`: it may come back from the cache, or not. */
  onHidden(isEnding: boolean): void;
  onVisible(): void;
  onOnline(): void;
}

/** Watches the page, if there is one. Gives the function that ends it. */
export function watchPage({ onHidden: hidden, onVisible: shown, onOnline: online }: PageWatcher): () => void {
  const listeners: [EventTarget, string, (event: Event) => void][] = [
    [globalThis as unknown as EventTarget, "online", online],
  ];
  if (typeof document !== "undefined") {
    listeners.push(
      [document, "visibilitychange", () => document.visibilityState === "hidden" && hidden(false)],
      // On `document` it never comes.
      [window, "pagehide", () => hidden(true)],
      [window, "pageshow", shown],
    );
  }
  if (typeof globalThis.addEventListener !== "function") return () => undefined;
  for (const [target, type, listener] of listeners) target.addEventListener(type, listener);
  return () => listeners.forEach(([target, type, listener]) => target.removeEventListener(type, listener));
}
