// For a page that is not in UTF-8. webpack's minifier writes escapes as characters, and the browser reads the script in the
// charset of the page: each module of the engine must start all the same. The program itself is ASCII.
import { BayeuxClient, CloudEvent, EventRegistry, Filter, Publisher } from "eventferry";

const event = { type: "t", source: "/s", id: "1" };
const USES = {
  codecs: () => new CloudEvent(event).toString().includes('"specversion":"1.0"'),
  filters: () => Filter.sql("type = 't'").matches(new CloudEvent(event)),
  publish: () => new Publisher({ url: "https://example.com/events" }) instanceof Publisher,
  streams: () => new BayeuxClient("https://example.com/cometd") instanceof BayeuxClient,
  "events-protocol": () => new EventRegistry() instanceof EventRegistry,
};

const problems = document.characterSet === "windows-1252" ? [] : [`the page is in ${document.characterSet}`];
for (const [module, use] of Object.entries(USES)) {
  try {
    if (!use()) problems.push(`${module}: the result is wrong`);
  } catch (error) {
    problems.push(`${module}: ${error}`);
  }
}
globalThis.report = { checks: 6, problems };
