// Runs the suite in Node, Bun or Deno. The last line of the output is the result, as JSON.
import * as sdk from "cloudevents";
import * as ferry from "../../dist/entries/cloudevents.js";
import * as outbox from "../../dist/entries/outbox.js";
import { suite } from "./suite.mjs";

const options = JSON.parse(process.argv[2] ?? "{}");
const yieldToRuntime = () => new Promise((resolve) => setTimeout(resolve, 10));
console.log(JSON.stringify(await suite({ ferry, outbox, sdk }, { ...options, yieldToRuntime })));
