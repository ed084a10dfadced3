// Helpers of the emulator tests: events, requests, and readers of server-sent events and sockets.
import { connect } from "node:net";
import { CloudEvent } from "eventferry/cloudevents";
import { createEmulator, isFerryError } from "eventferry/testing";

/** Any origin will do: the emulator looks only at the path. */
export const ORIGIN = "http://emulator.test";
export const event = (more = {}) =>
  new CloudEvent({ type: "com.example.tested", source: "/tests", data: { n: 1 }, ...more });
export const post = (send, path, message, init = {}) =>
  send(ORIGIN + path, {
    method: "POST",
    ...message,
    body: bytesOf(message.body),
    ...init,
    headers: { ...message.headers, ...init.headers },
  });
export const bytesOf = (body) => (typeof body === "string" ? new TextEncoder().encode(body) : body);
export const hasCode = (code) => (error) => isFerryError(error, code);

/** Runs `body` with a listening emulator, and closes it afterwards. */
export async function withServer(options, body) {
  const emulator = createEmulator(options);
  try {
    const { url } = await emulator.listen();
    await body(emulator, url);
  } finally {
    await emulator.close();
  }
}

/** Reads server-sent events (HTML standard, section 9.2), one block at a time. */
export async function* readBlocks(response) {
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const block = { data: [] };
      for (const line of text.slice(0, end).split("\n")) {
        const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
        if (field === "") block.comment = value;
        else if (field === "data") block.data.push(value);
        else block[field] = value;
      }
      text = text.slice(end + 2);
      yield { ...block, data: block.data.length > 0 ? block.data.join("\n") : undefined };
    }
  }
}

/** The next blocks that carry an event. */
export async function takeEvents(stream, count) {
  const found = [];
  while (found.length < count) {
    const { value, done } = await stream.next();
    if (done) break;
    if (value.data !== undefined) found.push(value);
  }
  return found;
}

/** Sends bytes over a socket and returns what comes back until the other side closes. */
export function sendRaw(url, bytes, { keepOpen = false } = {}) {
  const { port } = new URL(url);
  return new Promise((resolve) => {
    const chunks = [];
    let error;
    const socket = connect(Number(port), "127.0.0.1", () => (keepOpen ? socket.write(bytes) : socket.end(bytes)));
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", (problem) => (error = problem.code));
    socket.on("close", () => resolve({ text: Buffer.concat(chunks).toString("latin1"), error }));
  });
}
