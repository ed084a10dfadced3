import { Hono } from "hono";
import { webhook } from "eventferry/cloudevents";

const app = new Hono();
const handle = webhook({
  allowedOrigins: ["events.example.com"],
  authorize: (request, { env }) => request.headers.get("authorization") === `Bearer ${env.HOOK_SECRET}`,
  onEvent: async (event) => {
    console.log(event.type); // com.example.order.created
  },
});
app.on(["POST", "OPTIONS"], "/events", (context) => handle(context.req.raw, context.env));
export default app;
