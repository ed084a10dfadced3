// The types of the GlassFlow clients, from both entry points.
import assert from "node:assert/strict";
import { test } from "node:test";
import { problemsOf } from "./typescript.mjs";

const code = (entry) => `
import {
  CloudEvent, EventSession, FerryError, Outbox, PipelineDataSink, PipelineDataSource, PipelineEvent, memoryStore,
  type ConsumeResult, type EventsOptions, type FailedPublish, type PipelineCallOptions, type PipelineDataSinkOptions, type PipelineDataSourceOptions,
  type PipelineOptions, type PublishAllOptions, type PublishReport, type PublishResult,
} from "${entry}";
import { createEmulator, type EmulatedPipeline, type EmulatedPipelineOptions, type PublishedEvent, type Transformation } from "eventferry/testing";

interface Order { orderId: number }
interface Taxed extends Order { withTax: number }
const transform: Transformation = ({ orderId }: Order): Taxed => ({ orderId, withTax: 1 });
const made: EmulatedPipelineOptions = { id: "p", accessTokens: ["t"], transform, rateLimit: { requests: 1, perMs: 1 } };
const emulated: EmulatedPipeline = createEmulator({ glassflow: { maxBodyBytes: 5 } }).glassflow.createPipeline(made);
const published: readonly PublishedEvent[] = emulated.published;
const pipeline: PipelineOptions = { pipelineId: "p", pipelineAccessToken: async () => "t", baseUrl: new URL("https://example.com/v1") };
const sourceOptions: PipelineDataSourceOptions = { ...pipeline, retry: { attempts: 3 }, outbox: { concurrency: 2 } };
const sinkOptions: PipelineDataSinkOptions = { ...pipeline, backoff: { baseMs: 1 }, maxEventBytes: 5 };
export const source = new PipelineDataSource(sourceOptions);
export const sink: AsyncIterable<PipelineEvent> = new PipelineDataSink(sinkOptions);
// @ts-expect-error a sink has no retry option
new PipelineDataSink({ retry: { attempts: 3 } });
export async function use(sink: PipelineDataSink, signal: AbortSignal): Promise<void> {
  const call: PipelineCallOptions = { signal, timeoutMs: 5 };
  const result: PublishResult = await source.publish({ orderId: 7 }, call);
  const orders: Order[] = [{ orderId: 8 }];
  const all: PublishAllOptions<Order> = { concurrency: 2, key: ({ orderId }) => String(orderId) };
  const report: PublishReport<Order> = await source.publishAll(orders, all);
  const failed: FailedPublish<Order> | undefined = report.failed[0];
  const session: EventSession<unknown> = source.session();
  const outbox: Outbox<unknown> = source.outbox;
  const { status, event, body }: ConsumeResult<Order, Taxed> = await sink.consume<Order, Taxed>(call);
  const tax: number | undefined = event?.response?.withTax;
  const how: EventsOptions = { failed: true, signal, store: memoryStore(), maxUnacknowledged: 5, onRetry: (error: FerryError, delayMs: number) => console.log(error.code, delayMs.toFixed()) };
  for await (const event of sink.events<Order>(how)) {
    const id: number = event.payload.orderId;
    const details: string | undefined = event.errorDetails;
    const cloudEvent: CloudEvent = event.toCloudEvent();
    await event.republish(source, call);
    await event.ack();
    console.log(id, details, cloudEvent.id);
  }
  const left: ConsumeResult[] = await sink.close();
  try {
    await sink.validateCredentials(call);
  } catch (error) {
    if (error instanceof FerryError) console.log(error.body?.length);
  }
  // @ts-expect-error there is no such option
  await source.publishAll(orders, { ordered: true });
  console.log(result.status, failed?.event.orderId, session.staged, outbox, status, body?.length, tax, left, published);
}
export async function disposing(): Promise<void> {
  await using sink = new PipelineDataSink(sinkOptions);
  await sink.consume();
}
`;

test("the types of sources, sinks and events are exported from both entry points", () => {
  assert.deepEqual(problemsOf(["eventferry", "eventferry/glassflow"].map(code)), []);
});
