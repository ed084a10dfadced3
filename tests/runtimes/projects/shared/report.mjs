// What each framework runs on its server, with the checks of `smoke.mjs` beside it.
import * as full from "eventferry";
import * as bcEvents from "eventferry/bc-events";
import * as cloudevents from "eventferry/cloudevents";
import { smoke } from "./smoke.mjs";

export const report = () => smoke(full, { also: [cloudevents], bcEvents });
