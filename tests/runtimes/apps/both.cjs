// What is required and what is imported is the same, where the runtime can have it so.
const required = require("eventferry");

Promise.all([import("eventferry"), import("./smoke.mjs")])
  .then(([imported, { smoke }]) => smoke(required, { also: [imported] }))
  .then((report) => console.log(JSON.stringify(report)));
