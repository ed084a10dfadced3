// For Deno with the permission that the page about BriteEvents names: reads topics from YAML.
import * as bcEvents from "eventferry/bc-events";
import { publishesBriteEvents } from "./smoke.mjs";

await publishesBriteEvents(bcEvents, bcEvents, true);
console.log(JSON.stringify({ checks: 1, problems: [] }));
