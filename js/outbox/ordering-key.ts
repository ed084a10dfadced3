/** Ordering keys as the machine knows them: numbers. */

/**
 * Hashes an ordering key (FNV-1a); 0 stands for none. Two keys with the same hash only wait for each other needlessly.
 */
export function orderingKeyOf(key: string | undefined): number {
  if (key === undefined) return 0;
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return hash >>> 0 || 1;
}
