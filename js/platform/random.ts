/**
 * The source of random numbers, which a test can replace with a seeded one. Nothing is drawn at module scope, where
 * edge runtimes have no randomness.
 */

let source: () => number = () => Math.random();

/** Replaces the source of random numbers; without an argument, restores the one of the platform. For tests. */
export function replaceRandom(other: () => number = () => Math.random()): void {
  source = other;
}

/** A number from 0 (included) to 1 (excluded). For delays and seeds, not for secrets. */
export function random(): number {
  return source();
}
