/** Channel names and patterns. */
import { streams } from "../../engine/modules/streams.js";
import { SEPARATOR } from "../../engine/machine-options.js";
import { mustBe } from "../../engine/messages.js";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` if no server can accept this as a channel name or pattern */
export function checkChannel(channel: unknown): asserts channel is string {
  const isText = typeof channel === "string" && channel.isWellFormed?.() !== false && !channel.includes(SEPARATOR);
  const isName = isText && /^\/[^\s/]/.test(channel);
  if (!isName) throw mustBe("channel", "a name such as /topic/orders", channel);
  if (channel.startsWith("/meta/"))
    throw mustBe(
      "channel",
      "outside of /meta/",
      channel,
      "/meta/ channels belong to the protocol and accept neither subscriptions nor events",
    );
}

/**
 * Whether a channel is for messages between this client and the server alone. They come without a subscription: servers
 * ignore one, or refuse it.
 */
export function isServiceChannel(channel: string): boolean {
  return channel.startsWith("/service/");
}

/** The channel name without its filter, as messages carry it: `/topic/T?Name='x'` becomes `/topic/T`. */
export function channelName(channel: string): string {
  const { glue } = streams;
  return streams.call(() => glue.channel_name(channel));
}

/**
 * Whether a subscription covers a channel: `/a/*` matches one more segment, `/a/**` one or more. Both are names without
 * filters.
 */
export function matchesChannel(subscription: string, channel: string): boolean {
  if (subscription.endsWith("/**"))
    return channel.length > subscription.length - 2 && channel.startsWith(subscription.slice(0, -2));
  if (subscription.endsWith("/*")) {
    const start = subscription.length - 1;
    return channel.length > start && channel.startsWith(subscription.slice(0, -1)) && !channel.includes("/", start);
  }
  return subscription === channel;
}
