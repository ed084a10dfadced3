import { webhook } from "eventferry/cloudevents";
import { jwt } from "eventferry/jwt";

export const verifier = jwt({ jwks: "https://example.com/jwks", issuer: "https://example.com/", audience: "me" });
export const handler = webhook({ verify: verifier, onEvent: ({ id }) => console.log(id) });
