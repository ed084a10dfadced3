// Defines one test for each case of a file, and prints how many passed.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { countLine } from "../vectors.mjs";

/**
 * @param {string} system the name of the system in the output
 * @param {object[]} cases
 * @param options.run runs a case; throws if it fails
 * @param options.skip returns the reason if a case does not apply to this package
 * @param options.atLeast the minimum number of cases that are not skipped
 */
export function testCases(system, cases, { run, skip = () => undefined, atLeast }) {
  let passed = 0;
  for (const testCase of cases) {
    test(`${testCase.id}: ${firstSentence(testCase.why)}`, { skip: skip(testCase) ?? false }, async (t) => {
      await run(testCase, t);
      passed++;
    });
  }
  test(`the ${system} file has all its cases, each with a unique id`, () => {
    assert.equal(new Set(cases.map(({ id }) => id)).size, cases.length);
    const count = cases.filter((testCase) => skip(testCase) === undefined).length;
    assert.ok(count >= atLeast, `${count} cases, not ${atLeast}`);
  });
  after(() => console.log(countLine(system, passed)));
}

const firstSentence = (text) => /^.*?[.;:](?= |$)|^.+$/.exec(text)?.[0] ?? text;
