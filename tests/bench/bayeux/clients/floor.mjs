// The least that can be done: one poll after the other, `JSON.parse`, a loop. It knows no failure.
import { CHANNEL } from "../answers.mjs";

export async function open({ url, fetch, take }) {
  let id = 0;
  const ask = async (channel, more) => {
    const body = JSON.stringify([{ channel, id: `${++id}`, ...more }]);
    const response = await fetch(`${url}/cometd/60.0`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer t" },
      body,
    });
    return JSON.parse(await response.text());
  };
  const [{ clientId }] = await ask("/meta/handshake", { version: "1.0", supportedConnectionTypes: ["long-polling"] });
  const connect = (more) => ask("/meta/connect", { clientId, connectionType: "long-polling", ...more });
  await connect({ advice: { timeout: 0 } });
  await ask("/meta/subscribe", { clientId, subscription: CHANNEL, ext: { replay: { [CHANNEL]: -1 } } });
  for (;;)
    for (const { channel, data } of await connect())
      if (data)
        take(
          channel,
          () => data.event.replayId,
          () => data,
        );
}
