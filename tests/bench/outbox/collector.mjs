// The server that all clients send to, in a process of its own. It stores the bodies and parses them only for the report,
// so that it takes no time from the client that is measured.
//
//   POST /3   stores a request of run 3
//   GET /3    returns the report of run 3 and deletes it; `?total=` is the number of published events
import { createServer } from "node:http";
import { gunzipSync } from "node:zlib";

const runs = new Map();

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://collector");
  const reply = (body) => response.writeHead(200, { "content-type": "application/json" }).end(body);
  if (request.method === "GET") {
    const bodies = runs.get(pathname) ?? [];
    runs.delete(pathname);
    return reply(JSON.stringify(reportOn(bodies, Number(searchParams.get("total")))));
  }
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    if (!runs.has(pathname)) runs.set(pathname, []);
    runs.get(pathname).push(request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body);
    reply("{}");
  });
});
// Connections stay open while a client is idle.
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

/** The number of received events, and of published events that were lost. */
function reportOn(bodies, total) {
  const times = new Uint8Array(total);
  let received = 0;
  for (const body of bodies) {
    for (const orderId of ordersIn(JSON.parse(body))) {
      received++;
      times[orderId]++;
    }
  }
  const distinct = times.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  return {
    requests: bodies.length,
    bytes: bodies.reduce((sum, { length }) => sum + length, 0),
    received,
    lost: total - distinct,
  };
}

/** The ids of the orders, in any of the formats of the clients. */
function ordersIn(message) {
  if (Array.isArray(message)) return message.map(({ data }) => data.orderId);
  if (message.batch) return message.batch.map(({ properties }) => properties.orderId);
  return message.resourceLogs
    .flatMap(({ scopeLogs }) => scopeLogs)
    .flatMap(({ logRecords }) => logRecords)
    .map(({ attributes }) => Number(attributes.find(({ key }) => key === "orderId").value.intValue));
}
