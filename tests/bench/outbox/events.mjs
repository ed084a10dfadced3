// What all clients publish: small events, of which every one says which it is.
import { TYPES } from "../inputs.mjs";

/** After so many events a client lets the process do what else is waiting, as a server would between requests. */
export const TURN = 1000;
/** Events in a request, for every client. */
export const BATCH = 500;
export const SOURCE = "/shops/amber/orders";

export const typeOf = (at) => TYPES[at % TYPES.length];
/** `orderId` is what the collector counts by. */
export const orderOf = (at) => ({ orderId: at, amount: (at % 9973) / 100, currency: "EUR" });
/** About 120 bytes of JSON. */
export const eventOf = (at) => ({ type: typeOf(at), source: SOURCE, data: orderOf(at) });
