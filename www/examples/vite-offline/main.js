// Adds tasks while offline: events are stored in IndexedDB and delivered when the server is reachable.
import { CloudEvent, Publisher } from "eventferry/outbox";

const url = import.meta.env.VITE_EVENTS_URL ?? "http://127.0.0.1:8787/cloudevents/tasks";
const { outbox } = new Publisher({ url, mode: "batch", outbox: { store: "auto" } });
const form = document.querySelector("form");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const title = new FormData(form).get("title");
  await outbox.run((session) => {
    session.publish(
      new CloudEvent({ type: "com.example.task.added", source: "/tasks", partitionkey: "list", data: { title } }),
    );
  });
  document.querySelector("ul").append(Object.assign(document.createElement("li"), { textContent: title }));
  form.reset();
  show();
});
for (const type of ["accepted", "delivered", "retry", "dead"]) outbox.addEventListener(type, show);

function show() {
  const { pending, delivered, dead } = outbox.stats();
  document.querySelector("[role=status]").textContent = `${delivered} delivered, ${pending} pending, ${dead} refused`;
}
