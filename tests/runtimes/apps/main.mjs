// For Node, Deno and Bun: imports several entry points.
import * as full from "eventferry";
import * as bcEvents from "eventferry/bc-events";
import * as cloudevents from "eventferry/cloudevents";
import * as slim from "eventferry/slim";
import { smoke } from "./smoke.mjs";

console.log(JSON.stringify(await smoke(full, { also: [cloudevents, slim], bcEvents })));
