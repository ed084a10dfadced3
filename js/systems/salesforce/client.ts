/** Clients of the Streaming API of Salesforce. The machine behind them is `src/salesforce`. */
import { withoutFilter } from "../bayeux/channels.js";
import { type StreamOptions, checkStream, streamConfig, streamFetch } from "../bayeux/client.js";
import { StreamClient } from "../bayeux/stream.js";
import { type HeadersOption, checkedUrl } from "../../client/options.js";
import { type PasswordOptions, type SalesforceAuth, insideOf, passwordAuth, sign } from "./auth.js";
import { Marks, type ReplayStorage, checkPolicy, startOf } from "./replay.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";
import type { StreamPort } from "../../engine/ports.js";

export interface SalesforceOptions extends StreamOptions {
  /**
   * Where channels start: with what happens from now on, with all that the server still has (one day, or three), behind an event, or where a storage says that they got. Whatever
   * it is, after the first event of a run nothing is skipped. @default "new"
   */
  replay?: "new" | "all" | number | string | ReplayStorage;
  /** Where to go on when the server has forgotten the event behind which a channel was to go on. Without it, that is an error. A `replay_gap` is noticed. */
  replayFallback?: "new" | "all";
  /** Of the Streaming API, 37.0 or later. @default "68.0" */
  apiVersion?: string;
  /** Where the Streaming API is instead of at the instance that the login names: a proxy of your own. The whole address, `…/cometd/68.0`. */
  streamingUrl?: string | URL;
}

/** Options of a client that logs in by user name and password. */
export interface SalesforceStreamingOptions extends SalesforceOptions, PasswordOptions {}

const NAMES = ["replay", "replayFallback", "apiVersion", "streamingUrl"];
const LOGIN_NAMES = [
  "consumerKey",
  "consumerSecret",
  "username",
  "password",
  "securityToken",
  "sandbox",
  "loginUrl",
] as const;
const API_VERSION = "68.0";

/**
 * Receives the events of Salesforce: topics, generic and platform events, changes.
 *
 * @example
 * await using client = new SalesforceClient(jwtBearerAuth({ consumerKey, username, privateKey }), { replay: replayStore(fileStore("marks")) });
 * await client.open();
 * await client.subscribe("/event/Order__e");
 * for await (const message of client) console.log(message.replayId, message.data);
 */
export class SalesforceClient extends StreamClient {
  constructor(auth: SalesforceAuth, options: SalesforceOptions = {}) {
    checkStream("a SalesforceClient", options, NAMES);
    const { config, privateKey, onRefreshToken } = insideOf(auth);
    const { replay = "new", replayFallback, apiVersion = API_VERSION, streamingUrl } = options;
    const storage = isStorage(replay) ? replay : undefined;
    if (replayFallback !== undefined && replayFallback !== "new" && replayFallback !== "all")
      throw invalidArgument(`replayFallback is "new" or "all", not ${formatValue(replayFallback)}`);
    if (typeof apiVersion !== "string" || !/^\d+\.\d+$/.test(apiVersion))
      throw invalidArgument(`apiVersion is a version such as "68.0", not ${formatValue(apiVersion)}`);
    checkPolicy(storage?.policy);
    const start = startOf(storage ? (storage.initial ?? "new") : replay, storage ? "replay.initial" : "replay");
    const endpoint = streamingUrl === undefined ? undefined : checkedUrl(streamingUrl, "streamingUrl");
    const marks = storage && new Marks(storage, storage.policy ?? "automatic");
    super({
      driver: {
        config: () => ({
          ...streamConfig(options),
          ...config,
          replayStart: start,
          replayFallback: replayFallback && startOf(replayFallback, "replayFallback"),
          apiVersion,
          endpoint,
        }),
        fetch: streamFetch(options),
        headers: options.headers as HeadersOption | undefined,
        makeSocket: undefined,
        extensions: undefined,
      },
      listener: {
        credentials: async () => "",
        sign: (claims) => sign(claims, privateKey!),
        rotated: (refreshToken) => onRefreshToken?.(refreshToken),
      },
      maxPending: options.maxPending ?? 100,
      signal: options.signal,
      ...(marks && {
        prepare: async (channel: string) => {
          const id = await marks.find(channel);
          return id === undefined ? undefined : (port: StreamPort) => port.set_replay_id(withoutFilter(channel), id);
        },
        hand: (message) => marks.hand(message),
        done: (message) => marks.done(message),
        ack: (message) => marks.ack(message),
        settle: () => marks.settle(),
      }),
      // `/event/Order__e` is com.salesforce.event.Order__e.
      typeOf: (channel) => `com.salesforce${channel.replace(/\//g, ".")}`,
    });
  }
}

/** The same for user name and password, as the Python `aiosfstream` has it. */
export class SalesforceStreamingClient extends SalesforceClient {
  constructor(options: SalesforceStreamingOptions) {
    checkStream("a SalesforceStreamingClient", options, [...NAMES, ...LOGIN_NAMES]);
    const rest: Record<string, unknown> = { ...options };
    const login: Record<string, unknown> = {};
    for (const name of LOGIN_NAMES) {
      if (rest[name] !== undefined) login[name] = rest[name];
      delete rest[name];
    }
    super(passwordAuth(login as unknown as PasswordOptions), rest as SalesforceOptions);
  }
}

function isStorage(replay: unknown): replay is ReplayStorage {
  return (
    typeof (replay as ReplayStorage | null)?.get === "function" && typeof (replay as ReplayStorage).set === "function"
  );
}
