/** Options of calls that wait, and how they are checked. */
import { mustBe } from "../engine/messages.js";

/** How long a call waits. */
export interface WaitOptions {
  /** Ends the wait, not the delivery. */
  signal?: AbortSignal;
  /** Ends the wait after this time, in milliseconds. @default no limit */
  deadlineMs?: number;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkWaitOptions<T extends object>(options: T & WaitOptions): T & WaitOptions {
  if (typeof options !== "object" || options === null) {
    const advice = typeof options === "number" ? `pass { deadlineMs: ${options} }` : undefined;
    throw mustBe("options", "an object", options, advice);
  }
  const { signal, deadlineMs } = options;
  if (signal !== undefined && typeof signal?.addEventListener !== "function")
    throw mustBe("signal", "an AbortSignal", signal);
  checkMillis("deadlineMs", deadlineMs);
  return options;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkMillis(name: string, value: unknown): void {
  if (value !== undefined && !(typeof value === "number" && value >= 0))
    throw mustBe(name, "a number of milliseconds from 0", value);
}
