/** Decides which messages of a page are forwarded. */
import type { BayeuxMessage } from "./messages.js";

/** Channels that are always forwarded. Subscriptions are checked; everything else is refused. */
const ALWAYS_ALLOWED: readonly unknown[] = [
  "/meta/handshake",
  "/meta/connect",
  "/meta/unsubscribe",
  "/meta/disconnect",
];
const ONE_SEGMENT = /^(?:[\w!~()$@-]+|\*)$/;
const SEGMENTS = /^(?:[\w!~()$@-]+\/)*(?:[\w!~()$@-]+|\*\*?)$/;

/**
 * Whether a message is forwarded. `channels` are the channels that may be subscribed to; undefined allows everything.
 */
export function isAllowed({ channel, subscription }: BayeuxMessage, channels: readonly string[] | undefined): boolean {
  if (!channels || ALWAYS_ALLOWED.includes(channel)) return true;
  // The exact name only: a server that trims names could read another one as the same.
  if (channel !== "/meta/subscribe") return false;
  const names = [subscription].flat();
  return (
    names.length > 0 &&
    names.every((name) => typeof name === "string" && channels.some((allowed) => covers(allowed, name.split("?")[0]!)))
  );
}

/** The reply to a message that is not forwarded. */
export function refusalOf({ channel, id, clientId, subscription }: BayeuxMessage): object {
  return { channel, id, clientId, subscription, successful: false, error: "403::Restricted channel" };
}

/** Whether an allowed channel or pattern includes every channel that a subscription matches. */
function covers(allowed: string, subscription: string): boolean {
  if (allowed === subscription) return true;
  const [, start, stars] = /^(.*\/)(\*\*?)$/.exec(allowed) ?? [];
  if (start === undefined || !subscription.startsWith(start)) return false;
  return (stars === "**" ? SEGMENTS : ONE_SEGMENT).test(subscription.slice(start.length));
}
