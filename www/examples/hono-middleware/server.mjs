// Serves the application in Node. On Workers, Deno and Bun, `app.mjs` is the entry point.
import { serve } from "@hono/node-server";
import app from "./app.mjs";

const env = { HOOK_SECRET: process.env.HOOK_SECRET ?? "s3cret" };
const port = Number(process.env.PORT ?? 8790);
serve({ fetch: (request) => app.fetch(request, env), port, hostname: "127.0.0.1" }, (info) => {
  console.log(`listening on http://127.0.0.1:${info.port}`);
});
