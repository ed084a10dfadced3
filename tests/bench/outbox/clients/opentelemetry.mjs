// Each event is a log record with a name, which is an event of OpenTelemetry. All options are the defaults, except that
// the queue holds all events: by default it drops those above 2,048. The versions are the latest that run on Node 20;
// those from 0.300 on need Node 22. Attributes take a little less time than a body with the same content.

import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { BATCH, orderOf, SOURCE, typeOf } from "../events.mjs";

export function open({ url, total }) {
  const exporter = new OTLPLogExporter({ url });
  const provider = new LoggerProvider({
    processors: [new BatchLogRecordProcessor({ exporter, maxQueueSize: total, maxExportBatchSize: BATCH })],
  });
  const logger = provider.getLogger(SOURCE);
  return {
    publish: (at) => logger.emit({ eventName: typeOf(at), attributes: orderOf(at) }),
    finish: () => provider.forceFlush(),
    close: () => provider.shutdown(),
  };
}
