// The entry point eventferry/cloudevents alone, which loads only the small module.
import * as api from "eventferry/cloudevents";
import { smoke } from "./smoke.mjs";

console.log(JSON.stringify(await smoke(api)));
