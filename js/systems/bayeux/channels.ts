/** Channel names and patterns. */
import { mustBe } from "../../engine/messages.js";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` if no server can accept this as a channel name or pattern */
export function checkChannel(channel: unknown): asserts channel is string {
  const isName = typeof channel === "string" && /^\/[^\s/]/.test(channel) && channel.isWellFormed?.() !== false;
  if (!isName) throw mustBe("channel", "a name such as /topic/orders", channel);
  if (channel.startsWith("/meta/"))
    throw mustBe(
      "channel",
      "outside of /meta/",
      channel,
      "/meta/ channels belong to the protocol and accept neither subscriptions nor events",
    );
}

/** The channel name without its filter, as messages carry it: `/topic/T?Name='x'` becomes `/topic/T`. */
export function withoutFilter(channel: string): string {
  const at = channel.indexOf("?");
  return at < 0 ? channel : channel.slice(0, at);
}

/** Whether a subscription covers a channel: `/a/*` matches one more segment, `/a/**` one or more. */
export function matchesChannel(subscription: string, channel: string): boolean {
  if (subscription.endsWith("/**"))
    return channel.length > subscription.length - 2 && channel.startsWith(subscription.slice(0, -2));
  if (subscription.endsWith("/*")) {
    const start = subscription.length - 1;
    return channel.length > start && channel.startsWith(subscription.slice(0, -1)) && !channel.includes("/", start);
  }
  return withoutFilter(subscription) === withoutFilter(channel);
}
