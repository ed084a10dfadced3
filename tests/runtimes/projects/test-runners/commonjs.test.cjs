for (const entry of ["bayeux", "bc-events", "events-protocol", "glassflow", "outbox", "salesforce", "slim"])
  require(`eventferry/${entry}`);
require("./common.cjs")(require("eventferry"), require("eventferry/testing"));
