// A Bayeux server in memory, as a `fetch` and as WebSockets: small, but it keeps sessions, holds polls and wants its cookie.
export const url = "https://example.com/cometd";

export class Server {
  requests = [];
  sockets = [];
  sessions = new Map();
  /** What to do with a request instead: gives a Response, throws, or gives nothing. */
  intercept = undefined;
  transports = ["long-polling", "websocket"];
  wantsCookie = true;
  #count = 0;

  /** For the option `fetch`. */
  fetch = async (request) => {
    const messages = JSON.parse(await request.clone().text());
    const seen = {
      url: request.url,
      headers: request.headers,
      messages,
      channels: messages.map(({ channel }) => channel),
    };
    this.requests.push(seen);
    const instead = await this.intercept?.(seen, request);
    if (instead) return instead;
    const cookie = request.headers.get("cookie") ?? "";
    const replies = await this.#answer(messages, { cookie, signal: request.signal });
    const headers = { "content-type": "application/json" };
    if (seen.channels[0] === "/meta/handshake") headers["set-cookie"] = "BAYEUX_BROWSER=b1; Path=/; HttpOnly";
    return new Response(JSON.stringify(replies), { headers });
  };

  /** For the option `webSocket`. */
  webSocket = (address) => {
    const socket = new FakeSocket(address, async (text) => {
      for (const message of JSON.parse(text)) {
        this.requests.push({ url: address, messages: [message], channels: [message.channel], viaSocket: true });
        void this.#answer([message], { socket }).then((replies) => socket.say(JSON.stringify(replies)));
      }
    });
    this.sockets.push(socket);
    if (this.transports.includes("websocket")) queueMicrotask(() => socket.opens());
    else queueMicrotask(() => socket.closes(1006));
    return socket;
  };

  /** How many requests had a message on that channel. */
  count(channel) {
    return this.requests.filter(({ channels }) => channels.includes(channel)).length;
  }

  get held() {
    return [...this.sessions.values()].filter((session) => session.release).length;
  }

  /** To everybody who is subscribed. */
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
      if (session.socket) session.socket.say(JSON.stringify(session.queue.splice(0)));
      session.release?.();
    }
  }

  /** Forgets all sessions: polls that are held are told so. */
  forget() {
    const gone = [...this.sessions.values()];
    this.sessions.clear();
    for (const session of gone) session.release?.();
  }

  async #answer(messages, { cookie, socket, signal }) {
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
      const hasCookie = socket || !this.wantsCookie || /BAYEUX_BROWSER=b1/.test(cookie);
      if (!session || !hasCookie) {
        replies.push({
          ...reply,
          successful: false,
          error: "402::session_unknown",
          advice: { reconnect: "handshake", interval: 0 },
        });
        continue;
      }
      if (channel === "/meta/subscribe" && /forbidden/.test(subscription))
        Object.assign(reply, { successful: false, error: `403:${subscription}:Permission Denied` });
      else if (channel === "/meta/subscribe") session.subscriptions.add(subscription);
      else if (channel === "/meta/unsubscribe") session.subscriptions.delete(subscription);
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
  constructor(address, hear) {
    super();
    Object.assign(this, { address, hear });
  }
  opens() {
    this.isOpen = true;
    this.dispatchEvent(new Event("open"));
  }
  say(data) {
    if (this.isOpen) this.dispatchEvent(new MessageEvent("message", { data }));
  }
  closes(code) {
    this.isOpen = false;
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }
  send(text) {
    this.sent.push(text);
    void this.hear(text);
  }
  close() {
    this.isOpen = false;
  }
}

/** Waits for something that comes about without a promise. */
export async function until(isTrue, ms = 3000) {
  for (const end = Date.now() + ms; !isTrue(); ) {
    if (Date.now() > end) throw new Error(`it did not come about: ${isTrue}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** All notices and states of a client. */
export function listen(client) {
  const heard = [];
  client.addEventListener("notice", ({ detail }) => heard.push(detail.kind));
  client.addEventListener("state", ({ detail }) => heard.push(detail.state));
  return heard;
}
