// Compiled, not run: the types from CommonJS.
import eventferry = require("eventferry");
import slim = require("eventferry/slim");

const event: eventferry.CloudEvent<{ orderId: number }> = new eventferry.CloudEvent({
  type: "t",
  source: "/s",
  data: { orderId: 7 },
});
export const orderId: number | undefined = event.data?.orderId;
export const loaded: Promise<void> = slim.init({ codecs: new Uint8Array(8) });

// @ts-expect-error events are read-only
event.id = "2";
