/** Warnings for the developer of an application. */

const given = new Set<string>();

/** Shows a warning in the console. */
export function warn(message: string): void {
  console.warn(`eventferry: ${message}`);
}

/**
 * Shows a warning in the console, each only once in a page or process. Not for texts with words of a server, of which
 * there may be any number.
 */
export function warnOnce(message: string): void {
  if (given.has(message)) return;
  given.add(message);
  warn(message);
}
