// Serves the script on loopback, in a process of its own.
import { createServer } from "node:http";
import { Script } from "./answers.mjs";

const script = new Script();
const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = script.answer(Buffer.concat(chunks));
    response
      .writeHead(200, { "content-type": "application/json;charset=UTF-8", "content-length": body.length })
      .end(body);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
