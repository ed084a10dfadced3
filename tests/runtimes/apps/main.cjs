// For Node and Bun: requires several entry points.
const full = require("eventferry");
const cloudevents = require("eventferry/cloudevents");
const bcEvents = require("eventferry/bc-events");
const { createEmulator } = require("eventferry/testing");

void import("./smoke.mjs")
  .then(({ smoke }) => smoke(full, { also: [cloudevents], bcEvents }))
  .then(async ({ checks, problems }) => {
    const found = await receivedByTheEmulator().catch(String);
    if (found !== "t") problems.push(`the emulator received ${found}`);
    console.log(JSON.stringify({ checks: checks + 1, problems }));
  });

/** The type of the event that the emulator has received over HTTP. */
async function receivedByTheEmulator() {
  const emulator = createEmulator();
  const { url } = await emulator.listen();
  await fetch(full.toRequest(`${url}/cloudevents/a`, new full.CloudEvent({ type: "t", source: "/s" })));
  const [{ event }] = await emulator.cloudEvents.waitFor(1, { timeoutMs: 10_000 });
  await emulator.close();
  return event.type;
}
