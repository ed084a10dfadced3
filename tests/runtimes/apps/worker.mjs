// For workerd. That it starts proves that nothing at module scope asks for time, chance, timers or the network.
import * as full from "eventferry";
import * as cloudevents from "eventferry/cloudevents";
import { smoke } from "./smoke.mjs";

// Applications make theirs here.
const publisher = new full.Publisher({ url: "https://example.com/events", fetch: async () => new Response(null, { status: 202 }) });
const pipeline = { pipelineId: "p", pipelineAccessToken: "t", fetch: async () => new Response(null, { status: 204 }) };
const source = new full.PipelineDataSource(pipeline);
const sink = new full.PipelineDataSink(pipeline);

export default {
  async fetch() {
    const { status } = await publisher.send(new full.CloudEvent({ type: "t", source: "/s" }));
    const report = await smoke(full, { also: [cloudevents] });
    if (status !== 202) report.problems.push(`the publisher of the module scope answered ${status}`);
    const statuses = [await source.publish({}), await sink.consume()].map(({ status }) => status);
    if (statuses.join() !== "204,204") report.problems.push(`the pipeline of the module scope answered ${statuses}`);
    return Response.json(report);
  },
};
