// Measures the steps in Node. The last line of the output is the result, as JSON.
import { stepSuite } from "./suite.mjs";

console.log(JSON.stringify(await stepSuite(JSON.parse(process.argv[2]))));
process.exit();
