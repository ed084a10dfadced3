/** The rules of the Streaming API, and what its parts work with. */
import type { Lifetime } from "../service.js";
import type { Overrides } from "./overrides.js";
import type { ReplayLog } from "./replay.js";
import type { SessionLimits } from "./session.js";
import type { TokenStore } from "./tokens.js";

/** Rules of the server. */
export interface StreamingRules extends SessionLimits {
  /** Longest time that a connect is held. */
  timeoutMs: number;
  maxClients: number;
  eventsPerDay: number;
  maxBodyBytes: number;
  requireCookie: boolean;
  unauthorizedStatus: 200 | 401;
  /** The existing channels; undefined for all. */
  channels: ReadonlySet<string> | undefined;
  allowPublish: boolean;
  acknowledges: boolean;
}

/** What the parts of the server work with. */
export interface StreamingDependencies {
  rules: StreamingRules;
  log: ReplayLog;
  tokens: TokenStore;
  overrides: Overrides;
  lifetime: Lifetime;
  now: () => number;
  /** Called after each change that `waitFor` must check. */
  onChange: () => void;
}
