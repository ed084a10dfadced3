// For workerd. It starts only if no module scope uses the time, randomness, timers or the network.
import * as full from "eventferry";
import * as bcEvents from "eventferry/bc-events";
import * as cloudevents from "eventferry/cloudevents";
import { smoke } from "./smoke.mjs";

// Applications create their clients at module scope.
const publisher = new full.Publisher({
  url: "https://example.com/events",
  fetch: async () => new Response(null, { status: 202 }),
});
const pipeline = { pipelineId: "p", pipelineAccessToken: "t", fetch: async () => new Response(null, { status: 204 }) };
const source = new full.PipelineDataSource(pipeline);
const sink = new full.PipelineDataSink(pipeline);
const processor = new full.EventProcessor(
  new full.EventRegistry().register({
    name: "get:time",
    handle: (_event, _payload, { ctx }) => ({ waitUntil: typeof ctx.waitUntil }),
  }),
);
const client = new full.EventsProtocolClient({
  url: "https://example.com/events",
  fetch: async () => new Response("{}", { status: 500 }),
});
const streams = [
  new full.BayeuxClient("https://example.com/cometd", {
    fetch: async () => new Response(null, { status: 404 }),
    transports: ["long-polling"],
  }),
  new full.SalesforceClient(full.sessionAuth({ accessToken: "t", instanceUrl: "https://example.com" }), {
    fetch: async () => new Response(null, { status: 404 }),
    replay: full.replayStore(full.memoryStore()),
  }),
];

export default {
  async fetch(_request, env, ctx) {
    const { status } = await publisher.send(new full.CloudEvent({ type: "t", source: "/s" }));
    const report = await smoke(full, { also: [cloudevents], bcEvents });
    if (status !== 202) report.problems.push(`the publisher at module scope received ${status}`);
    const statuses = [await source.publish({}), await sink.consume()].map(({ status }) => status);
    if (statuses.join() !== "204,204") report.problems.push(`the pipeline at module scope received ${statuses}`);
    const event = '{"name":"get:time","version":1,"id":"i","flowId":"f","payload":{}}';
    const { payload } = await (
      await processor.fetch(new Request("https://example.com/events", { method: "POST", body: event }), env, ctx)
    ).json();
    if (payload.waitUntil !== "function")
      report.problems.push(`the server at module scope answered ${JSON.stringify(payload)}`);
    const error = await client.sendEvent({ name: "get:time" }).catch((error) => error);
    if (error.code !== "ERR_UNAVAILABLE") report.problems.push(`the client at module scope threw ${error}`);
    for (const stream of streams) {
      const error = await stream.open().catch((error) => error);
      if (error.code !== "ERR_REJECTED") report.problems.push(`the stream at module scope threw ${error}`);
    }
    return Response.json(report);
  },
};
