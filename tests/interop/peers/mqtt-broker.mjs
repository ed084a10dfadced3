// An MQTT 5 broker that delivers every message to all clients, with the packets of mqtt-packet, which mqtt.js itself uses.
import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer } from "node:net";

const packets = createRequire(createRequire(import.meta.url).resolve("mqtt"))("mqtt-packet");
const VERSION = { protocolVersion: 5 };

/** Starts the broker on the loopback. */
export async function startMqttBroker() {
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    const send = (to, packet) => to.write(packets.generate(packet, VERSION));
    const parser = packets.parser(VERSION);
    parser.on("packet", (packet) => {
      const { cmd, messageId } = packet;
      if (cmd === "connect") send(socket, { cmd: "connack", sessionPresent: false, reasonCode: 0 });
      if (cmd === "pingreq") send(socket, { cmd: "pingresp" });
      if (cmd === "subscribe")
        send(socket, { cmd: "suback", messageId, granted: packet.subscriptions.map(({ qos }) => qos) });
      if (cmd === "publish") for (const other of sockets) send(other, { ...packet, dup: false, qos: 0 });
    });
    socket.on("data", (bytes) => parser.parse(bytes));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `mqtt://127.0.0.1:${server.address().port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
