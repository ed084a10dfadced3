/** Connects: the requests that are held until there are events. */
import { connectionReset } from "../faults.js";
import type { DailyLimit } from "./daily-limit.js";
import { accepted, type BayeuxMessage, ERRORS, refused, type Reply } from "./messages.js";
import type { Session } from "./session.js";
import type { StreamingDependencies } from "./streaming-rules.js";

/** The reply to a connect; undefined if another connect has replaced it. */
export async function holdConnect(
  message: BayeuxMessage,
  session: Session,
  isAlone: boolean,
  request: Request,
  { rules, lifetime, now, onChange }: StreamingDependencies,
  limit: DailyLimit,
): Promise<Reply | undefined> {
  if (message.connectionType !== "long-polling") return refused(message, ERRORS.connectionType(message.connectionType));
  if (limit.isReached) return refused(message, ERRORS.deliveries);
  const acknowledged = message.ext?.ack;
  // A client that enabled acknowledgement but sends none has received everything.
  if (session.acknowledges) session.acknowledge(typeof acknowledged === "number" ? acknowledged : session.batch);
  const isFirst = !session.isConnected;
  session.isConnected = true;
  const requested = message.advice?.timeout;
  const isValid = typeof requested === "number" && requested >= 0;
  const waitMs = isValid ? Math.min(rules.timeoutMs, requested) : rules.timeoutMs;
  if (isFirst) return accepted(message, { advice: { interval: 0, timeout: rules.timeoutMs, reconnect: "retry" } });
  if (!isAlone || waitMs === 0 || session.hasWaiting) return accepted(message);
  const held = session.hold(waitMs, request, lifetime);
  onChange();
  const end = await held;
  session.noteResponse(now());
  onChange();
  switch (end) {
    case "dropped":
      throw request.signal.aborted ? request.signal.reason : connectionReset();
    case "duplicate":
      return undefined;
    case "lost":
      return refused(message, ERRORS.unknownClient, "handshake");
    case "revoked":
      return refused(message, ERRORS.badToken);
    default:
      return accepted(message);
  }
}
