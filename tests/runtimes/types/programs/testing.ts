import { createEmulator, type Emulator, eventMatchers } from "eventferry/testing";

export const emulator: Emulator = createEmulator();
export const matchers = eventMatchers;

export async function run(): Promise<number> {
  const { url, close } = await emulator.listen();
  const response: Response = await emulator.fetch(url, { method: "POST", headers: { a: "b" }, body: "{}" });
  emulator.salesforce.publish("/event/A__e", { n: 1 });
  await close();
  return response.status;
}
