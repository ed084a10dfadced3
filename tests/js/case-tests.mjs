// One test for each case of a file, and the line that says how many have passed.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { countLine } from "../vectors.mjs";

/**
 * @param {string} system the name in the line
 * @param {object[]} cases
 * @param options.run makes a case; throws if it fails
 * @param options.skip why a case is not for this package, if it is not
 * @param options.atLeast how many cases there have to be that are not skipped
 */
export function testCases(system, cases, { run, skip = () => undefined, atLeast }) {
  let passed = 0;
  for (const testCase of cases) {
    test(`${testCase.id}: ${firstSentence(testCase.why)}`, { skip: skip(testCase) ?? false }, async (t) => {
      await run(testCase, t);
      passed++;
    });
  }
  test(`the file of ${system} has its cases, each with an id of its own`, () => {
    assert.equal(new Set(cases.map(({ id }) => id)).size, cases.length);
    const count = cases.filter((testCase) => skip(testCase) === undefined).length;
    assert.ok(count >= atLeast, `${count} cases, not ${atLeast}`);
  });
  after(() => console.log(countLine(system, passed)));
}

const firstSentence = (text) => /^.*?[.;:](?= |$)|^.+$/.exec(text)?.[0] ?? text;
