// For workerd. That it starts proves that nothing at module scope asks for time, chance, timers or the network.
import * as full from "eventferry";
import * as cloudevents from "eventferry/cloudevents";
import { smoke } from "./smoke.mjs";

export default { fetch: async () => Response.json(await smoke(full, { also: [cloudevents] })) };
