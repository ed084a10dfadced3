// A page whose content security policy forbids WebAssembly: each call throws an error, and the page continues.
import { CloudEvent, isFerryError } from "eventferry";

const problems = [];
for (let time = 0; time < 2; time++) {
  try {
    CloudEvent.fromJSON('{"specversion":"1.0","id":"1","source":"/s","type":"t"}');
    problems.push("WebAssembly worked in spite of the policy");
  } catch (error) {
    if (!isFerryError(error, "ERR_WASM_INIT") || !error.cause) problems.push(`threw ${error?.code ?? error}`);
  }
}
globalThis.report = Promise.resolve({ checks: 2, problems });
