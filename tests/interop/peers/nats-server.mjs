// A NATS server that delivers what it gets to all subscribers of the subject: as much of the protocol as nats.js needs.
import { once } from "node:events";
import { createServer } from "node:net";

const INFO = { server_id: "test", version: "2.10.0", proto: 1, headers: true, max_payload: 1 << 20 };

/** Starts the server on the loopback. */
export async function startNatsServer() {
  const subscriptions = new Map();
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.write(`INFO ${JSON.stringify(INFO)}\r\n`);
    let buffered = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      buffered = Buffer.concat([buffered, chunk]);
      for (;;) {
        const end = buffered.indexOf("\r\n");
        if (end < 0) return;
        const [verb, ...words] = buffered.subarray(0, end).toString().split(/\s+/);
        const isMessage = /^H?PUB$/i.test(verb);
        const length = isMessage ? Number(words.at(-1)) + 2 : 0;
        if (buffered.length < end + 2 + length) return;
        const message = buffered.subarray(end + 2, end + 2 + length);
        buffered = buffered.subarray(end + 2 + length);
        if (verb === "PING") socket.write("PONG\r\n");
        if (verb === "SUB") subscriptions.set(words[0], { socket, id: words.at(-1) });
        if (isMessage) deliver(words, message);
      }
    });
  });
  const deliver = ([subject, ...sizes], message) => {
    const { socket, id } = subscriptions.get(subject) ?? {};
    const counts = sizes.filter((word) => /^\d+$/.test(word)).join(" ");
    const verb = counts.includes(" ") ? "HMSG" : "MSG";
    socket?.write(Buffer.concat([Buffer.from(`${verb} ${subject} ${id} ${counts}\r\n`), message]));
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `nats://127.0.0.1:${server.address().port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
