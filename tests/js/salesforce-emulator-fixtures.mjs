// What the test files of the Salesforce emulator share: a token request, and a minimal client.
import assert from "node:assert/strict";
import { createEmulator, isFerryError } from "eventferry/testing";
import { realTime, virtualClock } from "./virtual-clock.mjs";

export const ORIGIN = "http://emulator.test";
export const CHANNEL = "/event/A__e";
export const isError = (code) => (error) => isFerryError(error, code);
export const replayIds = (events) => events.map(({ data }) => String(data.event.replayId));

/** Sets the wall clock ahead. Timers do not run, so held polls stay held. */
export const advance = (ms) => virtualClock().setUnix(virtualClock().unixNow() + ms);

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

/** A minimal client that shows the replies of the server. It keeps cookies and numbers its messages. */
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
  /** Sends one message. Returns the reply, with the events that arrived before it. */
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
export const opened = (emulator, options) => new Peer(emulator, options).open();
/** Runs a test over real sockets, during which virtual time stands still. */
export const overLoopback = (run) =>
  realTime(
    (async () => {
      const emulator = createEmulator();
      const { url } = await emulator.listen();
      try {
        await run(emulator, url);
      } finally {
        await emulator.close();
      }
    })(),
  );
export const untilHeld = (emulator) =>
  emulator.salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
