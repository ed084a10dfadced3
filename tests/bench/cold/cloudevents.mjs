import { HTTP } from "cloudevents";
import { text } from "./event.mjs";

if (HTTP.toEvent({ headers: { "content-type": "application/cloudevents+json" }, body: text }).id !== "7f2c")
  throw new Error("decoded wrongly");
