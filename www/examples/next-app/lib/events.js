import { CloudEvent, Publisher } from "eventferry/outbox";

let session;
export function track(type, data) {
  session ??= new Publisher({ url: "http://127.0.0.1:8787/cloudevents/next", outbox: { store: "auto" } }).session();
  session.publish(new CloudEvent({ type, source: "/shop", data }));
  return session.flush();
}
