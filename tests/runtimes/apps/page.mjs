// For pages, bundled or not, and for the Vercel edge. Names are imported one by one, as most people do it: a bundler that
// drops what registers the module is then caught. Only afterwards comes an entry point that could make up for it.
import {
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
