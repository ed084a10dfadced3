// require and import in one program share their classes, if the runtime supports require of ES modules.
const required = require("eventferry");

void Promise.all([import("eventferry"), import("./smoke.mjs")])
  .then(([imported, { smoke }]) => smoke(required, { also: [imported] }))
  .then((report) => console.log(JSON.stringify(report)));
