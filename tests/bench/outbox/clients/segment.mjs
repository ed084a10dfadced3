// Each event is a `track`. The queue has no limit; a batch has 15 events by default.
import { Analytics } from "@segment/analytics-node";
import { BATCH, orderOf, SOURCE, typeOf } from "../events.mjs";

export function open({ url }) {
  const { origin, pathname } = new URL(url);
  const analytics = new Analytics({ writeKey: "bench", host: origin, path: pathname, flushAt: BATCH });
  return {
    publish: (at) => analytics.track({ userId: SOURCE, event: typeOf(at), properties: orderOf(at) }),
    finish: () => analytics.flush(),
    close: () => analytics.closeAndFlush(),
  };
}
