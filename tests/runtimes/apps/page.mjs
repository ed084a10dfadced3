// For pages with and without a bundler, and for the Vercel edge. It imports single names, as applications do, to detect a
// bundler that drops the code that registers the module. Another entry point, which also registers it, is imported later.
import {
  BayeuxClient,
  batchFromHttp,
  batchFromRequest,
  CloudEvent,
  contentMode,
  EventProcessor,
  EventRegistry,
  EventsProtocolClient,
  FerryError,
  fromHttp,
  fromRequest,
  isFerryError,
  Publisher,
  replayStore,
  SalesforceClient,
  toBatch,
  toBinary,
  toRequest,
  toStructured,
  webhook,
} from "eventferry";
import * as bcEvents from "eventferry/bc-events";
import { smoke } from "./smoke.mjs";

const api = {
  BayeuxClient,
  CloudEvent,
  EventProcessor,
  EventRegistry,
  EventsProtocolClient,
  FerryError,
  Publisher,
  SalesforceClient,
  batchFromHttp,
  batchFromRequest,
  contentMode,
  fromHttp,
  fromRequest,
  isFerryError,
  replayStore,
  toBatch,
  toBinary,
  toRequest,
  toStructured,
  webhook,
};
globalThis.report = smoke(api).then(async (alone) => {
  if (alone.problems.length > 0) return alone;
  return smoke(api, { also: [await import("eventferry/cloudevents")], bcEvents });
});
