/** The sessions of the Streaming API, by their client ids. */
import type { StoredEvent } from "./replay.js";
import type { Session } from "./session.js";

export class SessionTable {
  readonly #sessions = new Map<string, Session>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The sessions that have not expired. */
  unexpired(): Session[] {
    const now = this.#now();
    for (const [clientId, session] of this.#sessions) if (session.isExpired(now)) this.#sessions.delete(clientId);
    return [...this.#sessions.values()];
  }

  add(session: Session): void {
    this.#sessions.set(session.clientId, session);
  }

  delete({ clientId }: Session): void {
    this.#sessions.delete(clientId);
  }

  /** Whether the session may still be used. */
  has(session: Session): boolean {
    return this.#sessions.has(session.clientId) && !session.isExpired(this.#now());
  }

  /** The session that a message names, if it has not expired. */
  find(clientId: unknown, browserCookie: string | undefined): Session | undefined {
    const session = typeof clientId === "string" ? this.#sessions.get(clientId) : undefined;
    if (!session || session.isExpired(this.#now())) return undefined;
    // With the cookie of another browser the session is unknown. A missing cookie has an error of its own.
    const isOther = browserCookie !== undefined && session.browserCookie !== browserCookie;
    return session.browserCookie !== undefined && isOther ? undefined : session;
  }

  /** Queues a published event for all subscribed sessions. Returns their number. */
  deliver(event: StoredEvent): number {
    return this.unexpired().filter((session) => session.deliver(event)).length;
  }

  /** Ends all held connects. */
  endPolls(...how: Parameters<Session["endPoll"]>): void {
    for (const session of this.#sessions.values()) session.endPoll(...how);
  }

  /** Removes all sessions, as a restart of the server does. */
  clear(...polls: Parameters<Session["endPoll"]>): void {
    this.endPolls(...polls);
    this.#sessions.clear();
  }
}
