// Runs the suite in a browser; bundled by `browser.mjs`.
import * as sdk from "cloudevents";
import * as ferry from "eventferry/cloudevents";
import * as outbox from "eventferry/outbox";
import { suite } from "./suite.mjs";

const yieldToRuntime = () => new Promise((resolve) => setTimeout(resolve, 20));
globalThis.bench = (options) => suite({ ferry, outbox, sdk }, { ...options, yieldToRuntime });
