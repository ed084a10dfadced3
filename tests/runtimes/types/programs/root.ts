import { BayeuxClient, CloudEvent, EventProcessor, EventRegistry, PipelineDataSource, Publisher } from "eventferry";

export const publisher = new Publisher({
  url: new URL("https://example.com/"),
  headers: { authorization: "Bearer t" },
  fetch: (url, init) => fetch(url, init),
  retry: { attempts: 3 },
  outbox: { store: "memory" },
});
export const status: Promise<number> = publisher
  .send(new CloudEvent({ type: "t", source: "/s" }))
  .then(({ status }) => status);
export const clients = [new BayeuxClient("https://example.com/cometd")];
export const pipeline = new PipelineDataSource({ pipelineId: "p", pipelineAccessToken: () => "t" });
export const processor: (request: Request) => Promise<Response> = new EventProcessor(new EventRegistry()).fetch;
