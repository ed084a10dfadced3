// Runs the suite in a browser; bundled by `browser.mjs`.
import * as sdk from "cloudevents";
import * as ferry from "eventferry/cloudevents";
import { suite } from "./suite.mjs";

const yieldToRuntime = () => new Promise((resolve) => setTimeout(resolve, 20));
globalThis.bench = (options) => suite({ ferry, sdk }, { ...options, yieldToRuntime });
