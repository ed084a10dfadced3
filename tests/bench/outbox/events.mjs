// The events that all clients publish: small, and each with an id that the collector counts.
import { TYPES } from "../inputs.mjs";

/** After this number of events a client yields to the event loop, as a server does between requests. */
export const TURN = 1000;
/** The number of events in a request, for every client. */
export const BATCH = 500;
export const SOURCE = "/shops/amber/orders";

export const typeOf = (at) => TYPES[at % TYPES.length];
/** The collector counts by `orderId`. */
export const orderOf = (at) => ({ orderId: at, amount: (at % 9973) / 100, currency: "EUR" });
/** About 120 bytes of JSON. */
export const eventOf = (at) => ({ type: typeOf(at), source: SOURCE, data: orderOf(at) });
