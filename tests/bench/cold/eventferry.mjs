import { CloudEvent } from "../../../dist/entries/cloudevents.js";
import { text } from "./event.mjs";

if (CloudEvent.fromJSON(text).id !== "7f2c") throw new Error("decoded wrongly");
