import { FerryError } from "../engine/errors.js";

/** The error of a call to an outbox that was closed. */
export function outboxClosed(): FerryError {
  return new FerryError("ERR_CLOSED", "the outbox is closed");
}
