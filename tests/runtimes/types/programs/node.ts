import { fromIncoming, toNodeHandler } from "eventferry/node";
import { webhook } from "eventferry/cloudevents";

const handle = webhook({ allowedOrigins: "*", onEvent: ({ id }) => console.log(id) });
export const listener: (...args: never[]) => unknown = toNodeHandler(handle);
export const read = fromIncoming;
