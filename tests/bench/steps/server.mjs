// Serves the answer to a poll on loopback, in a process of its own.
import { createServer } from "node:http";
import { answerTo } from "./answers.mjs";

const body = answerTo({ channel: "/meta/connect", successful: true });
const server = createServer((_request, response) => {
  response
    .writeHead(200, {
      "content-type": "application/json",
      "content-length": body.length,
    })
    .end(body);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
