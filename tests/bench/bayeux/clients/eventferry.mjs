// The client of eventferry. No other file here uses its API.
import * as ferry from "../../../../dist/entries/salesforce.js";
import { CHANNEL } from "../answers.mjs";

export async function open({ url, fetch, onEvent }) {
  const auth = ferry.sessionAuth({ accessToken: "t", instanceUrl: url });
  const client = new ferry.SalesforceClient(auth, { apiVersion: "60.0", ...(fetch !== globalThis.fetch && { fetch }) });
  await client.open();
  await client.subscribe(CHANNEL, (message) =>
    onEvent(
      message.channel,
      () => message.replayId,
      () => message.data,
    ),
  );
}
