import { PipelineDataSink, PipelineDataSource, type PipelineEvent, type PublishReport } from "eventferry/glassflow";

const options = { pipelineId: "p", pipelineAccessToken: "t" };
const source = new PipelineDataSource(options);
const sink = new PipelineDataSink(options);

export async function run(): Promise<PublishReport> {
  for await (const event of sink) {
    const received: PipelineEvent = event;
    console.log(received.payload);
    break;
  }
  await sink[Symbol.asyncDispose]();
  return source.publishAll([{ n: 1 }]);
}
