/** An array of numbers, typed or not. */
export type Numbers = Iterable<number> & ArrayLike<number>;

/**
 * What the machine has to know of the events of a segment, as one list of numbers (`src/wasm/outbox.rs` reads it): how many of
 * its events may share a request (see `maxGroupedEvents`), how many sizes and how many ordering keys follow, these, and what is
 * remembered of its requests (see `progress.ts`), if there is something.
 */
export function contentsList(
  maxGroupedEvents: number,
  sizes: Numbers,
  orderingKeys: Numbers,
  progress: Iterable<number> = [],
): Float64Array {
  return new Float64Array([
    maxGroupedEvents,
    sizes.length,
    orderingKeys.length,
    ...sizes,
    ...orderingKeys,
    ...progress,
  ]);
}
