// A module worker. It is bundled, because import maps do not apply to workers.
import * as api from "eventferry";
import { smoke } from "./smoke.mjs";

smoke(api).then((report) => postMessage(report));
