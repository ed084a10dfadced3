/** The replies to subscriptions and published events of a session, and to its end. */
import { kindOf, parseSubscription, type Subscription } from "./channels.js";
import type { DailyLimit } from "./daily-limit.js";
import {
  accepted,
  type BayeuxMessage,
  DISCONNECT,
  ERRORS,
  refused,
  type Reply,
  SUBSCRIBE,
  UNSUBSCRIBE,
} from "./messages.js";
import type { StoredEvent } from "./replay.js";
import type { Session } from "./session.js";
import type { SessionTable } from "./session-table.js";
import type { StreamingDependencies } from "./streaming-rules.js";

export class Subscriptions {
  readonly #dependencies: StreamingDependencies;
  readonly #sessions: SessionTable;
  readonly #limit: DailyLimit;

  constructor(dependencies: StreamingDependencies, sessions: SessionTable, limit: DailyLimit) {
    this.#dependencies = dependencies;
    this.#sessions = sessions;
    this.#limit = limit;
  }

  /** The reply to a message that is neither a handshake nor a connect. */
  reply(message: BayeuxMessage, session: Session): Reply {
    const { channel } = message;
    switch (channel) {
      case SUBSCRIBE:
        return this.#subscribe(message, session);
      case UNSUBSCRIBE:
        for (const name of subscriptionNames(message)) session.subscriptions.delete(name);
        return accepted(message);
      case DISCONNECT:
        this.#sessions.delete(session);
        session.endPoll("timeout");
        return accepted(message);
      default:
        return this.#publish(message);
    }
  }

  /** Makes all subscriptions of one message or none. */
  #subscribe(message: BayeuxMessage, session: Session): Reply {
    const names = subscriptionNames(message);
    if (names.length === 0) return refused(message, ERRORS.noChannel);
    const made: [Subscription, readonly StoredEvent[]][] = [];
    for (const name of names) {
      const subscription = parseSubscription(name);
      const found = this.#replay(subscription, message);
      if (typeof found === "string") return refused(message, found);
      made.push([subscription, found]);
    }
    for (const [subscription, missed] of made) {
      session.subscriptions.set(subscription.name, subscription);
      session.queue(missed);
    }
    return accepted(message);
  }

  /** The events to replay for a subscription, or the error with which it is refused. */
  #replay(subscription: Subscription, { ext }: BayeuxMessage): readonly StoredEvent[] | string {
    const { rules, log } = this.#dependencies;
    const { name, channel } = subscription;
    if (name === "") return ERRORS.noChannel;
    if (!name.startsWith("/")) return ERRORS.noSlash;
    if (channel.startsWith("/meta/")) return ERRORS.restricted;
    if (channel.startsWith("/service/")) return [];
    if (this.#limit.isReached) return ERRORS.deliveries;
    if (rules.channels && ![...rules.channels].some((known) => subscription.matchesChannel(known)))
      return ERRORS.unknownChannel(channel);
    const map = ext?.replay;
    if (typeof map !== "object" || map === null) return [];
    const id = (map as Record<string, unknown>)[channel];
    if (typeof id !== "number" && typeof id !== "string") return ERRORS.noReplayId(channel, map);
    return log.since(String(id), subscription) ?? ERRORS.expiredId(String(id));
  }

  /** Salesforce accepts no events over Bayeux. Here generic and other channels do, so that clients can test publishing. */
  #publish(message: BayeuxMessage): Reply {
    const { rules, log } = this.#dependencies;
    const { channel, data } = message;
    if (typeof channel !== "string" || !channel.startsWith("/")) return refused(message, ERRORS.noChannel);
    if (channel.startsWith("/meta/")) return refused(message, ERRORS.restricted);
    if (channel.startsWith("/service/")) return accepted(message);
    const kind = kindOf(channel);
    if (!rules.allowPublish || (kind !== "generic" && kind !== "other")) return refused(message, ERRORS.publish);
    this.#sessions.deliver(kind === "generic" ? log.add(channel, data, {}) : log.addData(channel, data ?? null));
    return accepted(message);
  }
}

function subscriptionNames({ subscription }: BayeuxMessage): string[] {
  return [subscription].flat().filter((name): name is string => typeof name === "string");
}
