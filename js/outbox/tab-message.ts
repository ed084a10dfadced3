/** What outboxes of one store in several tabs tell each other. */
import type { FerryErrorCode } from "../engine/errors.js";

/** What tabs tell each other. */
export interface TabMessage {
  /** Something was stored. */
  isNew?: true;
  /** Of this segment these events were settled, all if no ids are given. With a code they have died. */
  key?: string;
  ids?: string[];
  status?: number;
  attempts?: number;
  code?: FerryErrorCode;
  message?: string;
}
