// Helpers of the tests of the Salesforce emulator: a minimal Bayeux client, logins and a clock.
import assert from "node:assert/strict";
import { isFerryError } from "../../dist/entries/testing.js";

export const ORIGIN = "http://emulator.test";
export const CHANNEL = "/event/A__e";
export const hasCode = (code) => (error) => isFerryError(error, code);
export const replayIds = (events) => events.map(({ data }) => String(data.event.replayId));

/** A clock that advances only by `advance`, for the option `now`. */
export function manualClock() {
  let time = Date.UTC(2026, 0, 1);
  const advance = (ms) => {
    time += ms;
  };
  return { now: () => time, advance };
}

/** Requests a token. Returns the status and the fields of the response. */
export async function login(fetch, fields, { base = `${ORIGIN}/salesforce`, headers = {} } = {}) {
  const answer = await fetch(`${base}/services/oauth2/token`, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers,
  });
  assert.match(answer.headers.get("content-type"), /^application\/json/);
  return { status: answer.status, ...(await answer.json()) };
}
export const PASSWORD = {
  grant_type: "password",
  client_id: "key",
  client_secret: "secret",
  username: "u@example.com",
  password: "pw",
};

/** A minimal Bayeux client: it stores cookies and numbers its messages. */
export class Peer {
  cookies = new Map();
  count = 0;
  constructor(
    emulator,
    {
      token = emulator.salesforce.issueToken(),
      base = `${ORIGIN}/salesforce`,
      version = "60.0",
      fetch = emulator.fetch,
    } = {},
  ) {
    Object.assign(this, { token, address: `${base}/cometd/${version}`, fetch });
  }
  async post(body, { headers = {}, signal } = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await this.fetch(this.address, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      signal,
      headers: {
        "content-type": "application/json",
        ...(this.token && { authorization: `Bearer ${this.token}` }),
        ...(cookie && { cookie }),
        ...headers,
      },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    return answer;
  }
  message(channel, more = {}) {
    return { channel, id: String(++this.count), ...(this.clientId && { clientId: this.clientId }), ...more };
  }
  /** Sends one message. Returns the reply, with the events that preceded it as `events`. */
  async send(channel, more, options) {
    const messages = await (await this.post([this.message(channel, more)], options)).json();
    const reply = messages.at(-1);
    return Object.assign(reply, { events: messages.slice(0, -1) });
  }
  handshake(more = {}) {
    return this.send("/meta/handshake", { version: "1.0", supportedConnectionTypes: ["long-polling"], ...more });
  }
  connect(more = {}, options) {
    return this.send("/meta/connect", { connectionType: "long-polling", ...more }, options);
  }
  subscribe(subscription, replay, more = {}) {
    return this.send("/meta/subscribe", {
      subscription,
      ...(replay !== undefined && { ext: { replay: { [subscription.split("?")[0]]: replay } } }),
      ...more,
    });
  }
  async open(more) {
    this.clientId = (await this.handshake(more)).clientId;
    await this.connect();
    return this;
  }
}
export const openPeer = (emulator, options) => new Peer(emulator, options).open();
export const untilHeld = (emulator) =>
  emulator.salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
