// Events of a shop. All are distinct, so that no cache helps, and the same in every run and runtime.

/** A generator of pseudo-random numbers below 2^32 (mulberry32). */
function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

const WORDS =
  "amber birch cedar delta ember fjord grove haven inlet jetty knoll lunar maple north ocean prism quill ridge solar tidal".split(
    " ",
  );
export const TYPES = ["created", "updated", "paid", "shipped", "cancelled", "returned", "refunded", "reviewed"].map(
  (verb) => `com.example.order.${verb}`,
);

/** Events as plain objects whose `data` has about `size` bytes of JSON. */
export function plainEvents(count, size, seed = size) {
  const random = randomNumbers(seed);
  const hex = (digits) => (random() + 2 ** 32).toString(16).slice(1, 1 + digits);
  return Array.from({ length: count }, (_, at) => ({
    specversion: "1.0",
    id: `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(8)}${hex(4)}`,
    source: `/shops/${WORDS[random() % WORDS.length]}/orders`,
    type: TYPES[random() % TYPES.length],
    time: new Date(1767225600000 + at * 997 + (random() % 900)).toISOString(),
    data: orderOf(size, random),
  }));
}

function orderOf(size, random) {
  const word = () => WORDS[random() % WORDS.length];
  const order = { amount: (random() % 100000) / 100, currency: "EUR", orderId: random() };
  let missing = size - JSON.stringify(order).length;
  if (missing > 150) {
    order.items = [];
    missing -= 11;
    while (missing > 130) {
      const item = {
        sku: `${word()}-${random() % 10000}`,
        quantity: 1 + (random() % 9),
        price: (random() % 10000) / 100,
        title: `${word()} ${word()} ${word()}`,
        gift: random() % 2 === 0,
      };
      order.items.push(item);
      missing -= JSON.stringify(item).length + 1;
    }
  }
  let note = word();
  while (note.length < missing - 10) note += ` ${word()}`;
  order.note = note.slice(0, Math.max(missing - 10, 0));
  return order;
}

/** The events in the JSON format, as texts. */
export const texts = (events) => events.map((event) => JSON.stringify(event));

/** The events in the JSON format, as bytes. */
export const bytes = (events) => texts(events).map((text) => new TextEncoder().encode(text));

/** The request headers of an event in binary mode, with those that every request has. */
export function headersOf(event) {
  return {
    accept: "*/*",
    "user-agent": "shop/4.2",
    host: "events.example.com",
    "content-type": "application/json",
    "ce-specversion": event.specversion,
    "ce-id": event.id,
    "ce-source": event.source,
    "ce-type": event.type,
    "ce-time": event.time,
  };
}
