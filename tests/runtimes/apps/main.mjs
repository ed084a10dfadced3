// For Node, Deno and Bun: several entry points imported.
import * as full from "eventferry";
import * as cloudevents from "eventferry/cloudevents";
import * as bcEvents from "eventferry/bc-events";
import * as slim from "eventferry/slim";
import { smoke } from "./smoke.mjs";

console.log(JSON.stringify(await smoke(full, { also: [cloudevents, slim], bcEvents })));
