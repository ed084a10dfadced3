// A worker of its own; import maps do not reach it, so it is bundled.
import * as api from "eventferry";
import { smoke } from "./smoke.mjs";

smoke(api).then((report) => postMessage(report));
