// The small module alone.
import * as api from "eventferry/cloudevents";
import { smoke } from "./smoke.mjs";

console.log(JSON.stringify(await smoke(api)));
