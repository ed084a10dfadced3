import { report } from "../../report.mjs";

export const GET = async () => Response.json(await report());
