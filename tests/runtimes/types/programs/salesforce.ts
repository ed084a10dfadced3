import { memoryStore, replayStore, SalesforceClient, salesforceProxy, tokenAuth } from "eventferry/salesforce";

const auth = tokenAuth({
  instanceUrl: "https://acme.my.salesforce.com",
  accessToken: async ({ renew }) => String(renew),
});
export const client = new SalesforceClient(auth, { replay: replayStore(memoryStore()) });
client.addEventListener("state", ({ detail }) => console.log(detail.state));
export const proxy: (request: Request) => Promise<Response> = salesforceProxy({
  instanceUrl: "https://acme.my.salesforce.com",
  allowedOrigins: ["https://app.example.com"],
});
