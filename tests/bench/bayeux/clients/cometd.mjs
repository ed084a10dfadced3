// CometD's client. `fetch` replaces the XMLHttpRequest of its package for Node.
import { CometD } from "cometd";
import { adapt } from "cometd-nodejs-client";
import { CHANNEL } from "../answers.mjs";

export function open({ url, fetch, onEvent }) {
  adapt();
  if (fetch !== globalThis.fetch) window.XMLHttpRequest = xmlHttpRequest(fetch);
  const cometd = new CometD();
  cometd.unregisterTransport("websocket");
  cometd.configure({
    url: `${url}/cometd/60.0`,
    requestHeaders: { Authorization: "Bearer t" },
    useWorkerScheduler: false,
    logLevel: "error",
  });
  cometd.handshake(({ successful }) => {
    if (!successful) throw new Error("the handshake failed");
    cometd.subscribe(
      CHANNEL,
      ({ channel, data }) =>
        onEvent(
          channel,
          () => data.event.replayId,
          () => data,
        ),
      { ext: { replay: { [CHANNEL]: -1 } } },
    );
  });
}

/** The part of XMLHttpRequest that CometD uses. */
const xmlHttpRequest = (fetch) =>
  class {
    static UNSENT = 0;
    readyState = 0;
    status = 0;
    statusText = "";
    responseText = "";
    #request;
    #headers = {};

    open(method, url) {
      this.#request = { method, url: `${url}` };
    }

    setRequestHeader(name, value) {
      this.#headers[name] = value;
    }

    async send(body) {
      const { method, url } = this.#request;
      const response = await fetch(url, { method, headers: this.#headers, body });
      this.responseText = await response.text();
      this.status = response.status;
      this.readyState = 4;
      this.onload();
    }

    abort() {}
  };
