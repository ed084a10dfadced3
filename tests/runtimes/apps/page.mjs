// For pages, bundled or not, and for the Vercel edge.
import * as full from "eventferry";
import * as cloudevents from "eventferry/cloudevents";
import { smoke } from "./smoke.mjs";

globalThis.report = smoke(full, { also: [cloudevents] });
