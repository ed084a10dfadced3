/** Everything. */
export * from "./cloudevents.js";
