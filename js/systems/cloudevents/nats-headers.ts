/** Headers that nats.js writes as they are: it calls `encode` of the headers that it is given. */
import type { NatsHeaders } from "./message-types.js";
import { TextEncoder } from "../../platform/text.js";

/** Adds the method that nats.js calls, where neither copies nor comparisons of the headers see it. */
export function writableHeaders(headers: NatsHeaders): NatsHeaders {
  return Object.defineProperty(headers, "encode", {
    value(this: NatsHeaders): Uint8Array {
      const lines = Object.entries(this).map(([name, value]) => `${name}: ${value}\r\n`);
      return new TextEncoder().encode(`NATS/1.0\r\n${lines.join("")}\r\n`);
    },
  });
}
