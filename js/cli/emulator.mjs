// `npx eventferry emulator`: the emulator of `eventferry/testing` as a server, for first steps and for programs in other
// languages. It prints the CloudEvents that it receives.
import { createEmulator } from "../../dist/entries/node/testing.js";
import { readArguments } from "./arguments.mjs";
import { DEFAULT_PORT, closeOnSignals, listen, readPort } from "./serve.mjs";

/** The longest time that `waitFor` takes. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export async function main(args) {
  const flags = readArguments(
    {
      command: "npx eventferry emulator",
      summary: "Serves an emulator of all systems on 127.0.0.1, and prints the CloudEvents that it receives.",
      flags: {
        port: { value: "<port>", description: `port to listen on, 0 for any free one; default ${DEFAULT_PORT}` },
      },
    },
    args,
  );
  const port = readPort(flags.port) ?? DEFAULT_PORT;
  const emulator = createEmulator();
  emulator.glassflow.createPipeline({ id: "demo", accessTokens: ["demo"] });
  const url = await listen(emulator, [port]);
  console.log(addresses(url));
  closeOnSignals(emulator);
  await printReceived(emulator.cloudEvents);
}

/** What is where. The demo prints the same. */
export function addresses(url) {
  return `  CloudEvents:     ${url}/cloudevents/<channel>   POST to send, GET …/events to read, GET …/stream to follow
  GlassFlow:       ${url}/glassflow/v1            pipeline "demo" with the access token "demo"
  BriteEvents:     ${url}/brite-events            the apiUrl of an EventClient
  events-protocol: ${url}/events                  answers echo:event and others
  Salesforce:      ${url}/salesforce              login and Streaming API, for any key, username and password

  Nothing leaves this machine. Ctrl-C stops it.
`;
}

/** Prints one line for each event, until the emulator is closed. */
async function printReceived(cloudEvents) {
  for (let lastSeq = 0; ; ) {
    let received;
    try {
      received = await cloudEvents.waitFor(lastSeq + 1, { timeoutMs: MAX_TIMEOUT_MS });
    } catch (error) {
      if (error.code === "ERR_CLOSED") return;
      if (error.code !== "ERR_TIMEOUT") throw error;
      continue;
    }
    for (const { seq, event, mode, channel } of received) {
      if (seq > lastSeq) console.log(`received ${event.type} ${event.id} (${mode}, channel ${channel})`);
    }
    lastSeq = received.at(-1).seq;
  }
}
