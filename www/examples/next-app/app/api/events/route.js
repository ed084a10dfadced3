import { webhook } from "eventferry/cloudevents";

const handle = webhook({
  authorize: (request) => request.headers.get("authorization") === `Bearer ${process.env.HOOK_SECRET}`,
  onEvent: async (event) => {
    console.log(event.type); // com.example.order.created
  },
});
export const POST = (request) => handle(request);
export const OPTIONS = (request) => handle(request);
