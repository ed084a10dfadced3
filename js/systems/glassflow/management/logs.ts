/** The log of a pipeline, page by page. */
import { mustBe } from "../../../engine/messages.js";
import { checkOptionNames } from "../../../client/options.js";
import { checkCount } from "../options.js";
import type { ManagementCallOptions, ManagementConnection } from "./connection.js";
import { quoted } from "./checks.js";
import type { WireLogQuery, WireLogs } from "./operations.js";

/** An entry of the log of a pipeline. */
export interface LogEntry {
  /** Name of the severity, for example `INFO`. */
  level: string | undefined;
  /** Severity: 100, 200, 400 or 500. */
  severityCode: number | undefined;
  /** When it was written, in RFC 3339. */
  timestamp: string | undefined;
  /** The message. */
  message: string | undefined;
  /** The message and what the function has added to it. */
  payload: Readonly<Record<string, unknown>>;
}

/** Which entries of a log to read. */
export interface LogOptions extends ManagementCallOptions {
  /** Entries of one request, 1 to 1 000. More need fewer requests. @default 50 */
  pageSize?: number;
  /** The lowest severity: 100, 200, 300, 400 or 500. @default 100 */
  severityCode?: number;
  /** Only entries from this time on. */
  startTime?: Date | string;
  /** Only entries before this time. */
  endTime?: Date | string;
}

const SEVERITIES = [100, 200, 300, 400, 500];
const MAX_PAGE_SIZE = 1000;

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkedLogQuery(id: string, options: LogOptions): WireLogQuery {
  checkOptionNames("logs", options, ["pageSize", "severityCode", "startTime", "endTime", "signal", "timeoutMs"]);
  const { pageSize = 50, severityCode = 100, startTime, endTime } = options;
  checkCount("pageSize", pageSize, MAX_PAGE_SIZE);
  if (!SEVERITIES.includes(severityCode)) throw mustBe("severityCode", SEVERITIES.join(", "), severityCode);
  return {
    ...{ id, pageSize, severityCode, pageToken: undefined },
    startTime: timeOf("startTime", startTime),
    endTime: timeOf("endTime", endTime),
  };
}

/** Reads pages while there are more. */
export async function* readLogs(
  connection: ManagementConnection,
  query: WireLogQuery,
  options: ManagementCallOptions,
): AsyncGenerator<LogEntry, void, undefined> {
  const what = `read the log of pipeline ${quoted(query.id)}`;
  const sentences = { ERR_NOT_FOUND: "there is no such pipeline" };
  let pageToken = query.pageToken;
  while (true) {
    const { logs, next } = await connection.run<WireLogs>(
      { what, sentences },
      { listLogs: { ...query, pageToken } },
      options,
    );
    for (const { level, severityCode, timestamp, payload = {} } of logs) {
      const { message } = payload;
      yield { level, severityCode, timestamp, message: typeof message === "string" ? message : undefined, payload };
    }
    // A page without entries, or the same page again, would go on forever.
    if (next === undefined || next === "" || next === pageToken || logs.length === 0) return;
    pageToken = next;
  }
}

function timeOf(name: string, time: unknown): string | undefined {
  if (time === undefined) return undefined;
  const date = new Date(time as string | Date);
  if ((typeof time !== "string" && !(time instanceof Date)) || Number.isNaN(date.getTime()))
    throw mustBe(name, "a Date or a time in RFC 3339", time);
  return typeof time === "string" ? time : date.toISOString();
}
