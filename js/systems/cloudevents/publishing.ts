/** Publishing of CloudEvents: what `eventferry/cloudevents` leaves out, because it needs networking. */

export type { HeadersOption } from "../../client/options.js";
export { CloudEvent } from "./event.js";
export { Publisher, type PublisherOptions, type SendOptions } from "./publisher.js";
export type { SendInfo } from "./reply.js";
