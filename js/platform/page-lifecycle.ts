/** Events of the page: hidden, visible again, closed or navigated away from, online again. */

/** The listener for the events of a page. */
export interface PageWatcher {
  /**
   * The page is hidden.
   *
   * @param isEnding whether it is being closed or navigated away from; it may come back from the back/forward cache
   */
  onHidden(isEnding: boolean): void;
  /** The page came back from the back/forward cache. */
  onVisible(): void;
  /** The network connection is back. */
  onOnline(): void;
}

/** Watches the page, if there is one. Returns the function that stops it. */
export function watchPage({ onHidden, onVisible, onOnline }: PageWatcher): () => void {
  const listeners: [EventTarget, string, (event: Event) => void][] = [
    [globalThis as unknown as EventTarget, "online", onOnline],
  ];
  if (typeof document !== "undefined") {
    listeners.push(
      [document, "visibilitychange", () => document.visibilityState === "hidden" && onHidden(false)],
      // `document` does not get these events.
      [window, "pagehide", () => onHidden(true)],
      [window, "pageshow", onVisible],
    );
  }
  if (typeof globalThis.addEventListener !== "function") return () => undefined;
  for (const [target, type, listener] of listeners) target.addEventListener(type, listener);
  return () => {
    for (const [target, type, listener] of listeners) target.removeEventListener(type, listener);
  };
}
