import { CloudEvent } from "eventferry/cloudevents";
import { text } from "./event.mjs";

if (CloudEvent.fromJSON(text).id !== "7f2c") throw new Error("decoded wrongly");
