// The suite in a browser, as a bundle.
import * as sdk from "cloudevents";
import * as ferry from "eventferry/cloudevents";
import { suite } from "./suite.mjs";

const breathe = () => new Promise((resolve) => setTimeout(resolve, 20));
globalThis.bench = (options) => suite({ ferry, sdk }, { ...options, breathe });
