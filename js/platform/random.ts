/** Randomness, in one place: a test can put a seeded source in its place. Nothing is drawn at module scope, where edge runtimes have none. */

let source: () => number = () => Math.random();

/** Puts another source of numbers from 0 up to before 1 in place; without one, the platform's is back. For tests. */
export function replaceRandom(other: () => number = () => Math.random()): void {
  source = other;
}

/** A number from 0 up to before 1. Good for delays and seeds, not for secrets. */
export function random(): number {
  return source();
}
