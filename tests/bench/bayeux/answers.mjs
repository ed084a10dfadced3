// A scripted Bayeux server: it answers every poll immediately with a thousand events as Salesforce sends them.
import { plainEvents } from "../inputs.mjs";

export const CHANNEL = "/event/Order_Placed__e";
export const EVENTS = 1000;
/** The approximate size of a message. */
const MESSAGE_BYTES = 1000;
const FRAME_BYTES = 320;
const ID_WIDTH = 12;
/** All replay ids have the same number of digits. */
const FIRST_ID = 10_000_000;
const DIGITS = `${FIRST_ID}`.length;
const CLIENT_ID = "2b9k4x6f0q8v3w7z1y5u2t6s0r";

/** One server; each handshake starts again at the first event. */
export class Script {
  #polls = 0;
  #body;
  #numbers = [];
  #idAt;

  constructor() {
    const parts = plainEvents(EVENTS, MESSAGE_BYTES - FRAME_BYTES).map(({ id, time, data }, at) => {
      const number = FIRST_ID + at;
      const payload = { CreatedDate: time, CreatedById: "005D0000001cSZs", ...data };
      const event = { EventUuid: `${id.slice(0, -8)}${number}`, replayId: number };
      return `{"data":${JSON.stringify({ schema: "dffQ2QLzDNHqwB8_sHMxdA", payload, event })},"channel":"${CHANNEL}"}`;
    });
    const reply = `{"id":${" ".repeat(ID_WIDTH)},"clientId":"${CLIENT_ID}","channel":"/meta/connect","successful":true}`;
    this.#body = Buffer.from(`[${parts.join(",")},${reply}]`);
    this.#idAt = this.#body.length - reply.length - 1 + '{"id":'.length;
    let from = 0;
    for (let at = 0; at < EVENTS; at++) {
      for (const before of ["EventUuid", "replayId"]) {
        from = this.#body.indexOf(`${FIRST_ID + at}`, this.#body.indexOf(before, from));
        this.#numbers.push(from);
      }
    }
  }

  /** The answer to a request body. The buffer is valid until the next call. */
  answer(text) {
    const [message] = JSON.parse(text);
    const { channel, id } = message;
    const reply = { channel, id, clientId: CLIENT_ID, successful: true };
    if (channel === "/meta/handshake") {
      this.#polls = 0;
      return Buffer.from(
        JSON.stringify([
          {
            ...reply,
            version: "1.0",
            minimumVersion: "1.0",
            supportedConnectionTypes: ["long-polling"],
            ext: { replay: true },
          },
        ]),
      );
    }
    if (channel === "/meta/subscribe")
      return Buffer.from(JSON.stringify([{ ...reply, subscription: message.subscription }]));
    if (message.advice?.timeout === 0)
      return Buffer.from(JSON.stringify([{ ...reply, advice: { reconnect: "retry", interval: 0, timeout: 110_000 } }]));
    return this.#events(id);
  }

  #events(id) {
    const first = FIRST_ID + this.#polls++ * EVENTS;
    for (let which = 0; which < this.#numbers.length; which++) {
      let remaining = first + (which >> 1);
      // Without strings, because in memory the server takes time of the client's process.
      for (let at = this.#numbers[which] + DIGITS; remaining > 0; remaining = Math.trunc(remaining / 10))
        this.#body[--at] = 48 + (remaining % 10);
    }
    this.#body.write(JSON.stringify(id).padEnd(ID_WIDTH), this.#idAt, "latin1");
    return this.#body;
  }
}
