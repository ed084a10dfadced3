import { report } from "../../report.mjs";

export const dynamic = "force-dynamic";
export const GET = async () => Response.json(await report());
