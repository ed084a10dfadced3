// Consumes a GlassFlow pipeline and prints each event.
import { PipelineDataSink } from "eventferry/glassflow";

const sink = new PipelineDataSink({
  pipelineId: Deno.env.get("PIPELINE_ID") ?? "demo",
  pipelineAccessToken: Deno.env.get("PIPELINE_ACCESS_TOKEN") ?? "demo",
  baseUrl: Deno.env.get("GLASSFLOW_URL") ?? "http://127.0.0.1:8787/glassflow/v1",
});
const stop = new AbortController();
Deno.addSignalListener("SIGTERM", () => stop.abort());
Deno.addSignalListener("SIGINT", () => stop.abort());

console.log("waiting for events");
for await (const event of sink.events({ signal: stop.signal, onRetry: (error) => console.error(error.message) })) {
  console.log(`event ${event.requestId}: ${event.responseText}`);
}
const left = await sink.close();
console.log(`closed, ${left.length} left`);
