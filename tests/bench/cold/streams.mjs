import { BayeuxClient } from "eventferry/bayeux";

await new BayeuxClient("https://example.com/cometd").close();
