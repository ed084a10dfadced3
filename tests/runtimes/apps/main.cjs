// For Node and Bun: requires several entry points.
const full = require("eventferry");
const cloudevents = require("eventferry/cloudevents");
const bcEvents = require("eventferry/bc-events");

void import("./smoke.mjs")
  .then(({ smoke }) => smoke(full, { also: [cloudevents], bcEvents }))
  .then((report) => console.log(JSON.stringify(report)));
