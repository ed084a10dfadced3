/** Events of the page: hidden, visible again, closed or navigated away from, online again. */

/** The listener for the events of a page. */
export interface PageWatcher {
  /**
   * The page is hidden.
   *
   * @param isEnding whether it is being closed or navigated away from; it may come back from the back/forward cache
   * @param isGone whether it ends and cannot come back
   */
  onHidden(isEnding: boolean, isGone: boolean): void;
  /** The browser suspends the page, which may be hidden for long, until `onVisible`. */
  onFrozen?(): void;
  /** The page came back from the back/forward cache, or from its suspension. */
  onVisible(): void;
  /** The page is visible again after it was hidden. */
  onShown?(): void;
  /** The network connection is back. */
  onOnline(): void;
}

/** Whether this is a page, and not a worker or a server. */
export function hasPage(): boolean {
  return "document" in globalThis && "window" in globalThis;
}

/**
 * Calls `onLeave` when the page is closed or navigated away from, and what it returned when the page is back from the
 * back/forward cache. Returns the function that stops it.
 */
export function watchLeaving(onLeave: () => () => void): () => void {
  if (!hasPage()) return () => undefined;
  let onReturn: (() => void) | undefined;
  const hide = () => {
    onReturn ??= onLeave();
  };
  const show = () => {
    onReturn?.();
    onReturn = undefined;
  };
  window.addEventListener("pagehide", hide);
  window.addEventListener("pageshow", show);
  return () => {
    show();
    window.removeEventListener("pagehide", hide);
    window.removeEventListener("pageshow", show);
  };
}

/** Watches the page, if there is one. Returns the function that stops it. */
export function watchPage({ onHidden, onFrozen, onVisible, onShown, onOnline }: PageWatcher): () => void {
  const listeners: [EventTarget, string, (event: Event) => void][] = [
    [globalThis as unknown as EventTarget, "online", onOnline],
  ];
  if (typeof document !== "undefined") {
    listeners.push(
      [
        document,
        "visibilitychange",
        () => (document.visibilityState === "hidden" ? onHidden(false, false) : onShown?.()),
      ],
      // `document` does not get these events.
      [window, "pagehide", (event) => onHidden(true, (event as PageTransitionEvent).persisted === false)],
      [window, "pageshow", onVisible],
      [document, "freeze", () => onFrozen?.()],
      [document, "resume", onVisible],
    );
  }
  if (typeof globalThis.addEventListener !== "function") return () => undefined;
  for (const [target, type, listener] of listeners) target.addEventListener(type, listener);
  return () => {
    for (const [target, type, listener] of listeners) target.removeEventListener(type, listener);
  };
}
