// A Bayeux server in memory, as a `fetch` function and as WebSockets. It keeps sessions, holds polls and requires its
// cookie.
export const url = "https://example.com/cometd";

export class BayeuxServer {
  requests = [];
  sockets = [];
  sessions = new Map();
  /** Replaces the handling of a request: returns a Response, throws, or returns undefined for the usual handling. */
  intercept = undefined;
  transports = ["long-polling", "websocket"];
  requiresCookie = true;
  #count = 0;

  /** For the client option `fetch`. */
  fetch = async (...args) => {
    const request = new Request(...args);
    const messages = JSON.parse(await request.clone().text());
    const record = {
      url: request.url,
      headers: request.headers,
      messages,
      channels: messages.map(({ channel }) => channel),
    };
    this.requests.push(record);
    const replacement = await this.intercept?.(record, request);
    if (replacement) return replacement;
    const cookie = request.headers.get("cookie") ?? "";
    const replies = await this.#reply(messages, { cookie, signal: request.signal });
    const headers = { "content-type": "application/json" };
    if (record.channels[0] === "/meta/handshake") headers["set-cookie"] = "BAYEUX_BROWSER=b1; Path=/; HttpOnly";
    return new Response(JSON.stringify(replies), { headers });
  };

  /** For the client option `webSocket`. */
  webSocket = (address) => {
    const socket = new FakeSocket(address, async (text) => {
      for (const message of JSON.parse(text)) {
        this.requests.push({ url: address, messages: [message], channels: [message.channel], viaSocket: true });
        void this.#reply([message], { socket }).then((replies) => socket.deliver(JSON.stringify(replies)));
      }
    });
    this.sockets.push(socket);
    if (this.transports.includes("websocket")) queueMicrotask(() => socket.simulateOpen());
    else queueMicrotask(() => socket.simulateClose(1006));
    return socket;
  };

  /** How many requests had a message on this channel. */
  count(channel) {
    return this.requests.filter(({ channels }) => channels.includes(channel)).length;
  }

  /** How many polls are held. */
  get heldPolls() {
    return [...this.sessions.values()].filter((session) => session.release).length;
  }

  /** Delivers an event to all sessions that are subscribed. */
  publish(channel, data, more = {}) {
    for (const session of this.sessions.values()) {
      if (
        ![...session.subscriptions].some(
          (pattern) =>
            pattern === channel ||
            (pattern.endsWith("/**") && channel.startsWith(pattern.slice(0, -2))) ||
            (pattern.endsWith("/*") && channel.startsWith(pattern.slice(0, -1))),
        )
      )
        continue;
      session.queue.push({ channel, data, ...more });
      if (session.socket) session.socket.deliver(JSON.stringify(session.queue.splice(0)));
      session.release?.();
    }
  }

  /** Forgets all sessions, and answers their held polls. */
  forgetSessions() {
    const forgotten = [...this.sessions.values()];
    this.sessions.clear();
    for (const session of forgotten) session.release?.();
  }

  async #reply(messages, { cookie, socket, signal }) {
    const replies = [];
    for (const message of messages) {
      const { channel, id, clientId, subscription } = message;
      const reply = { channel, id, successful: true, ...(subscription !== undefined && { subscription }) };
      if (channel === "/meta/handshake") {
        const client = `client${++this.#count}`;
        this.sessions.set(client, { subscriptions: new Set(), queue: [], socket });
        replies.push({
          ...reply,
          clientId: client,
          version: "1.0",
          supportedConnectionTypes: this.transports,
          advice: { reconnect: "retry", interval: 0, timeout: 30_000 },
        });
        continue;
      }
      const session = this.sessions.get(clientId);
      const hasCookie = socket || !this.requiresCookie || /BAYEUX_BROWSER=b1/.test(cookie);
      if (!session || !hasCookie) {
        replies.push({
          ...reply,
          successful: false,
          error: "402::session_unknown",
          advice: { reconnect: "handshake", interval: 0 },
        });
        continue;
      }
      const channels = [subscription ?? []].flat();
      if (channel === "/meta/subscribe" && channels.some((name) => name.includes("forbidden")))
        Object.assign(reply, { successful: false, error: `403:${channels}:Permission Denied` });
      else if (channel === "/meta/subscribe") for (const name of channels) session.subscriptions.add(name);
      else if (channel === "/meta/unsubscribe") for (const name of channels) session.subscriptions.delete(name);
      else if (channel === "/meta/disconnect") {
        this.sessions.delete(clientId);
        session.release?.();
      } else if (channel === "/meta/connect" && message.advice?.timeout !== 0 && session.queue.length === 0) {
        await new Promise((resolve) => {
          session.release = resolve;
          signal?.addEventListener("abort", resolve);
        });
        session.release = undefined;
        if (!this.sessions.has(clientId))
          Object.assign(reply, {
            successful: false,
            error: "402::session_unknown",
            advice: { reconnect: "handshake", interval: 0 },
          });
      } else if (!channel.startsWith("/meta/")) this.publish(channel, message.data, { id });
      replies.push(...session.queue.splice(0), reply);
    }
    return replies;
  }
}

class FakeSocket extends EventTarget {
  sent = [];
  isOpen = false;
  constructor(address, onText) {
    super();
    Object.assign(this, { address, onText });
  }
  simulateOpen() {
    this.isOpen = true;
    this.dispatchEvent(new Event("open"));
  }
  deliver(data) {
    if (this.isOpen) this.dispatchEvent(new MessageEvent("message", { data }));
  }
  simulateClose(code) {
    this.isOpen = false;
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }
  send(text) {
    this.sent.push(text);
    void this.onText(text);
  }
  close() {
    this.isOpen = false;
  }
}

/** Records the notices and states of a client. */
export function recordEvents(client) {
  const events = [];
  client.addEventListener("notice", ({ detail }) => events.push(detail.kind));
  client.addEventListener("state", ({ detail }) => events.push(detail.state));
  return events;
}
