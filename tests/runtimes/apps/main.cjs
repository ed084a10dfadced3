// For Node and Bun: several entry points required.
const full = require("eventferry");
const cloudevents = require("eventferry/cloudevents");

import("./smoke.mjs")
  .then(({ smoke }) => smoke(full, { also: [cloudevents] }))
  .then((report) => console.log(JSON.stringify(report)));
