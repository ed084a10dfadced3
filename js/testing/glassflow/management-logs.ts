/** The log of a pipeline in the emulated management API. */
import { type Answer, ok } from "./management-http.js";
import type { EmulatedPipeline } from "./pipeline.js";
import { Refusal } from "./settings.js";

const SEVERITY = { info: 200, error: 500 };

/** A page of the log. Pages are numbered by the entry that they begin with. */
export function listLogs({ logEntries }: EmulatedPipeline, query: URLSearchParams): Answer {
  const number = (name: string, ifMissing: number) => {
    const value = Number(query.get(name) ?? ifMissing);
    if (!Number.isInteger(value) || value < 0) throw new Refusal(400, `${name} must be a number`);
    return value;
  };
  const [pageSize, severityCode, first] = [
    number("page_size", 50),
    number("severity_code", 100),
    number("page_token", 0),
  ];
  const [from, to] = [query.get("start_time"), query.get("end_time")].map((time) =>
    time === null ? null : Date.parse(time),
  );
  const entries = logEntries
    .map(({ at, isError, message }) => ({
      level: isError ? "ERROR" : "INFO",
      severity_code: isError ? SEVERITY.error : SEVERITY.info,
      timestamp: new Date(at).toISOString(),
      payload: { message: typeof message === "string" ? message : (JSON.stringify(message) ?? String(message)) },
    }))
    .filter(({ severity_code: code, timestamp }) => {
      const at = Date.parse(timestamp);
      return code >= severityCode && (from == null || at >= from) && (to == null || at < to);
    });
  const last = first + Math.max(pageSize, 1);
  return ok({ logs: entries.slice(first, last), next: last < entries.length ? String(last) : "" });
}
