/**
 * Channels of the Streaming API: the kind of a channel name, the subscriptions that match it, and the format of its
 * events.
 *
 * ```text
 *   /topic/<PushTopic>[?Field='value'&…]   sobject + event.type      kept 24 hours
 *   /u/<generic channel>                   payload text              kept 24 hours
 *   /event/<Name>__e                       schema + payload          kept 72 hours
 *   /data/<Object>ChangeEvent              ChangeEventHeader         kept 72 hours
 *   anything else                          data unchanged            kept 24 hours
 * ```
 */

/** The kind of a channel. */
export type ChannelKind = "topic" | "generic" | "platform" | "change" | "other";

const HOUR_MS = 3_600_000;

/** The kind of a channel, by the prefix of its name. */
export function kindOf(channel: string): ChannelKind {
  if (channel.startsWith("/topic/")) return "topic";
  if (channel.startsWith("/u/")) return "generic";
  if (channel.startsWith("/event/")) return "platform";
  return channel.startsWith("/data/") ? "change" : "other";
}

/** How long Salesforce retains the events of a channel, in milliseconds. */
export function retentionMs(channel: string): number {
  const kind = kindOf(channel);
  return (kind === "platform" || kind === "change" ? 72 : 24) * HOUR_MS;
}

/** Metadata of a published event. */
export interface EventMetadata {
  /** What happened to the record of a PushTopic: created, updated, deleted or undeleted. @default "created" */
  type?: string;
  /** What happened to the record of a change event, GAP_UPDATE and the like included. @default "CREATE" */
  changeType?: string;
  /** Its replay id. @default the next id of the emulator */
  replayId?: number | string;
  /** When it was created, in ISO 8601. @default now */
  createdDate?: string;
}

/** The `data` of an event: its content in the format of the channel's kind. */
export function eventData(
  channel: string,
  content: unknown,
  metadata: EventMetadata,
  replayId: number | string,
  now: number,
): unknown {
  const createdDate = metadata.createdDate ?? new Date(now).toISOString();
  const fields = typeof content === "object" && content !== null ? content : { value: content };
  switch (kindOf(channel)) {
    case "topic":
      return { event: { createdDate, replayId, type: metadata.type ?? "created" }, sobject: fields };
    case "generic":
      return { event: { createdDate, replayId }, payload: content };
    case "platform":
      return {
        schema: "dffQ2QLzDNHqwB8_sHMxdA",
        payload: { CreatedDate: createdDate, CreatedById: USER_ID, ...fields },
        event: { EventUuid: crypto.randomUUID(), replayId },
      };
    case "change":
      return {
        schema: "IeRuaY6cbI_HsV8Rv1Mc5g",
        payload: { ChangeEventHeader: changeEventHeader(channel, metadata, now), ...fields },
        event: { replayId },
      };
    case "other":
      return content;
  }
}

/** The id of the user who owns all records of the emulator. */
export const USER_ID = "005D0000001cSZsIAM";

function changeEventHeader(channel: string, metadata: EventMetadata, now: number): object {
  const commitTimestamp = metadata.createdDate === undefined ? now : Date.parse(metadata.createdDate);
  return {
    entityName: /^\/data\/(.+?)ChangeEvents?$/.exec(channel)?.[1] ?? "Account",
    recordIds: ["001D000000KnaXjIAJ"],
    changeType: metadata.changeType ?? "CREATE",
    changeOrigin: "com.salesforce.core",
    transactionKey: crypto.randomUUID(),
    sequenceNumber: 1,
    commitTimestamp,
    commitNumber: commitTimestamp * 1000,
    commitUser: USER_ID,
    changedFields: [],
  };
}

/** A parsed subscription. */
export interface Subscription {
  /** The name as the client sent it. */
  readonly name: string;
  /** The name without the filter: the key of the replay map. */
  readonly channel: string;
  /** Whether the channel name matches, regardless of the filter. */
  matchesChannel(channel: string): boolean;
  /** Whether the data matches the filter. */
  matchesFilter(data: unknown): boolean;
}

/** Parses `/topic/T?Name='x'&Phone='y'`, `/u/*` and `/u/**`. The fields of a filter are alternatives. */
export function parseSubscription(name: string): Subscription {
  const at = name.indexOf("?");
  const channel = at < 0 ? name : name.slice(0, at);
  const filter = at < 0 ? [] : parseFilter(name.slice(at + 1));
  return {
    name,
    channel,
    matchesChannel: channelMatcher(channel),
    matchesFilter: (data) => filter.length === 0 || filter.some((condition) => condition(data)),
  };
}

function channelMatcher(channel: string): (target: string) => boolean {
  const [, start, stars] = /^(.*\/)(\*\*?)$/.exec(channel) ?? [];
  if (start === undefined) return (target) => target === channel;
  return (target) =>
    target.startsWith(start) && target.length > start.length && (stars === "**" || !target.includes("/", start.length));
}

/** Parses `Field=value` or `Field='value'`, joined by `&`. A quoted value may contain anything but a quote. */
function parseFilter(query: string): ((data: unknown) => boolean)[] {
  return [...query.matchAll(/([^=&]+)=(?:'([^']*)'|([^&]*))/g)].map(([, field, quoted, bare]) => {
    const wanted = quoted ?? bare ?? "";
    return (data: unknown) => {
      const value = (data as { sobject?: Record<string, unknown> } | null)?.sobject?.[field!];
      return value !== undefined && String(value) === wanted;
    };
  });
}
