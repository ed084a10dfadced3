/** The events of stored segments. */
import type { Bytes } from "../platform/bytes.js";
import type { Segment } from "../stores/store.js";
import { joinTexts } from "./json-texts.js";

/** A segment with those of its events that another version of it has too. Undefined if there are none. */
export function commonEvents(
  segment: Segment,
  other: Segment,
  idOf: (text: Uint8Array) => string,
): Segment | undefined {
  const ids = new Set(textsOf(other).map(idOf));
  const texts = textsOf(segment);
  const common = texts.map((text, index) => (ids.has(idOf(text)) ? index : -1)).filter((index) => index >= 0);
  if (common.length === 0) return undefined;
  if (common.length === texts.length) return segment;
  // The other leader knows better what is in flight.
  const { progress: _, ...known } = segment;
  const pick = (numbers: Uint32Array) => Uint32Array.from(common, (index) => numbers[index]!);
  return {
    ...known,
    body: joinTexts(common.map((index) => texts[index]!)),
    sizes: pick(segment.sizes),
    ...(segment.orderingKeys && { orderingKeys: pick(segment.orderingKeys) }),
  };
}

/** The text of each event of a segment. */
export function textsOf({ body, sizes }: Segment): Bytes[] {
  let start = 0;
  return Array.from(sizes, (size) => {
    const text = body.subarray(start, start + size);
    start += size + 1;
    return text;
  });
}
