/** Which kind of runtime this is. */

/** Whether this is a page or a worker of a browser. */
export function isBrowser(): boolean {
  if (/^(Node\.js|Deno|Bun|Cloudflare-Workers)\b/.test(globalThis.navigator?.userAgent ?? "")) return false;
  return typeof document !== "undefined" || "WorkerGlobalScope" in globalThis;
}
