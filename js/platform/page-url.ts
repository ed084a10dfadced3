/** The URL of the page. `undefined` outside of pages and workers of pages. */
export function pageUrl(): string | undefined {
  try {
    return (globalThis as { location?: { href?: string } }).location?.href;
  } catch {
    // Deno has a location only if it is told one.
    return undefined;
  }
}
