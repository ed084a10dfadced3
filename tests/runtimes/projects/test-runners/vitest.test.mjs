import * as root from "eventferry";
import * as testing from "eventferry/testing";
import { expect, test } from "vitest";
import common from "./common.cjs";
import { smoke } from "./smoke.mjs";

Object.assign(globalThis, { expect, test });
common(root, testing);

test("clients work too: Vitest keeps fetch of Node", async () => {
  expect((await smoke(root)).problems).toEqual([]);
});
