import { webhook } from "eventferry/cloudevents";
import { PipelineDataSource } from "eventferry/glassflow";

let source;
const pipeline = (env) => {
  source ??= new PipelineDataSource({
    pipelineId: env.PIPELINE_ID,
    pipelineAccessToken: env.PIPELINE_ACCESS_TOKEN,
    baseUrl: env.GLASSFLOW_URL,
    retry: { attempts: 3 },
  });
  return source;
};

const handle = webhook({
  allowedOrigins: ["events.example.com"],
  authorize: (request, { env }) => request.headers.get("authorization") === `Bearer ${env.HOOK_SECRET}`,
  onEvent: async (event, { env }) => {
    await pipeline(env).publish({ id: event.id, type: event.type, data: event.data });
  },
});
export default { fetch: handle };
