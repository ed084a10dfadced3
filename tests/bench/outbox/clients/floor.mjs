// The minimum: an array of texts, and one request after the other. It has no retries and no limit of waiting events.
// With `hasIdentity` the texts are CloudEvents with an id and a time.
import { randomUUID } from "node:crypto";
import { BATCH, eventOf } from "../events.mjs";

const HEADERS = { "content-type": "application/cloudevents-batch+json; charset=UTF-8" };

export function open({ url, hasIdentity = false }) {
  const full = [];
  let texts = [];
  let sending;

  const send = async () => {
    while (full.length > 0) {
      const response = await fetch(url, { method: "POST", headers: HEADERS, body: `[${full.shift().join(",")}]` });
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`the collector answered ${response.status}`);
    }
    sending = undefined;
  };
  const close = () => {
    full.push(texts);
    texts = [];
    sending ??= send();
  };

  return {
    publish(at) {
      const event = eventOf(at);
      texts.push(
        JSON.stringify(
          hasIdentity ? { specversion: "1.0", id: randomUUID(), time: new Date().toISOString(), ...event } : event,
        ),
      );
      if (texts.length === BATCH) close();
    },
    async finish() {
      if (texts.length > 0) close();
      await sending;
    },
  };
}
