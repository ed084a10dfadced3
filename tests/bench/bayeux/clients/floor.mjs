// The minimum: one poll after the other, `JSON.parse`, a loop. It handles no failures.
import { CHANNEL } from "../answers.mjs";

export async function open({ url, fetch, onEvent }) {
  let id = 0;
  const send = async (channel, more) => {
    const body = JSON.stringify([{ channel, id: `${++id}`, ...more }]);
    const response = await fetch(`${url}/cometd/60.0`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer t" },
      body,
    });
    return JSON.parse(await response.text());
  };
  const [{ clientId }] = await send("/meta/handshake", { version: "1.0", supportedConnectionTypes: ["long-polling"] });
  const connect = (more) => send("/meta/connect", { clientId, connectionType: "long-polling", ...more });
  await connect({ advice: { timeout: 0 } });
  await send("/meta/subscribe", { clientId, subscription: CHANNEL, ext: { replay: { [CHANNEL]: -1 } } });
  for (;;)
    for (const { channel, data } of await connect())
      if (data)
        onEvent(
          channel,
          () => data.event.replayId,
          () => data,
        );
}
