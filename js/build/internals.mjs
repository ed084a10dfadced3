// What tests change in the bundles for Node beside their entry points: the clock, and the modules of the engine. It is bundled
// with the entry points and not shipped.
export { codecs } from "../../dist/engine/load/codecs.node.js";
export { eventsProtocol } from "../../dist/engine/load/events-protocol.node.js";
export { filters } from "../../dist/engine/load/filters.node.js";
export { glassflow } from "../../dist/engine/load/glassflow.node.js";
export { glassflowManagement } from "../../dist/engine/load/glassflow-management.node.js";
export { publish } from "../../dist/engine/load/publish.node.js";
export { streams } from "../../dist/engine/load/streams.node.js";
export { digestOf, scopeFor } from "../../dist/outbox/identity.js";
export { TrackedSegment } from "../../dist/outbox/tracked-segment.js";
export { replaceClock } from "../../dist/platform/clock.js";
