import { BayeuxClient } from "../../../dist/entries/bayeux.js";

await new BayeuxClient("https://example.com/cometd").close();
