/** Names of channels. */
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for what a server would not take as the name of a channel or a pattern. */
export function checkChannel(channel: unknown): asserts channel is string {
  const isName = typeof channel === "string" && /^\/[^\s/]/.test(channel) && channel.isWellFormed?.() !== false;
  if (!isName) throw invalidArgument(`a channel is a name such as /topic/orders, not ${formatValue(channel)}`);
  if (channel.startsWith("/meta/"))
    throw invalidArgument(
      `${formatValue(channel)} belongs to the protocol: /meta/ channels can be neither subscribed to nor published on`,
    );
}

/** The name of a channel without a filter, which is what its messages say. */
export function withoutFilter(channel: string): string {
  const at = channel.indexOf("?");
  return at < 0 ? channel : channel.slice(0, at);
}

/** Whether a subscription is for a channel: `/a/*` takes in one segment, `/a/**` one or more. */
export function matches(subscription: string, channel: string): boolean {
  if (subscription.endsWith("/**"))
    return channel.length > subscription.length - 2 && channel.startsWith(subscription.slice(0, -2));
  if (subscription.endsWith("/*")) {
    const start = subscription.length - 1;
    return channel.length > start && channel.startsWith(subscription.slice(0, -1)) && !channel.includes("/", start);
  }
  return withoutFilter(subscription) === withoutFilter(channel);
}
