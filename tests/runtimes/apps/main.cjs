// For Node and Bun: several entry points required.
const full = require("eventferry");
const cloudevents = require("eventferry/cloudevents");
const bcEvents = require("eventferry/bc-events");

import("./smoke.mjs")
  .then(({ smoke }) => smoke(full, { also: [cloudevents], bcEvents }))
  .then((report) => console.log(JSON.stringify(report)));
