/** What a page does that ends: signals, and requests that survive it. */

/**
 * Fetch standard, "HTTP-network-or-cache fetch": the bodies of a document's requests with `keepalive` may have 64 KiB together. Others on
 * the page may use some of it, so we leave them a little.
 */
const KEEPALIVE_BYTES = 60 * 1024;

/** How long the browser may take to give room back; in Firefox another process does it. */
const RETURN_MS = 100;

/** A share of the budget. */
export interface Keepalive {
  /** Gives it back. `isAnswered`: an answer was read; the browser gives the room back a moment later. */
  release(isAnswered: boolean): void;
}

/** The budget of this document, whatever number of outboxes there are. */
export const keepalive = {
  left: KEEPALIVE_BYTES,
  /** Until then it is not used: it has failed, and others may have used it up. */
  pausedUntil: 0,

  take(bytes: number): Keepalive | undefined {
    if (typeof document === "undefined" || bytes > this.left || performance.now() < this.pausedUntil) return undefined;
    this.left -= bytes;
    return {
      release: (isAnswered) => {
        if (!isAnswered) this.pausedUntil = performance.now() + 1000;
        setTimeout(() => (this.left += bytes), RETURN_MS);
      },
    };
  },
};

/** What an outbox wants to know of its page. */
export interface PageWatcher {
  /** Hidden, or about to end. `isEnding`: it may come back from the cache, or not. */
  hidden(isEnding: boolean): void;
  shown(): void;
  online(): void;
}

/** Watches the page, if there is one. Gives the function that ends it. */
export function watchPage({ hidden, shown, online }: PageWatcher): () => void {
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
