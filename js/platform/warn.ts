/** Warnings for the developer of an application. */

const given = new Set<string>();

/** Shows a warning in the console, each only once in a page or process. */
export function warnOnce(message: string): void {
  if (given.has(message)) return;
  given.add(message);
  console.warn(`eventferry: ${message}`);
}
