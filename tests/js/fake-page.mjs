// A page in Node: importing it gives the process a `document`, a `window` and their events.

/** The window. Tests dispatch `pagehide`, `pageshow` and others on it. */
export const page = new EventTarget();
globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible" });
globalThis.window = page;
globalThis.addEventListener = page.addEventListener.bind(page);
globalThis.removeEventListener = page.removeEventListener.bind(page);
