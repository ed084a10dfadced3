// Counts what was checked. Every test program ends with the same line, so that one can add up the others.

const PASS = "\x1b[32m✓\x1b[0m";
const FAIL = "\x1b[31m✗\x1b[0m";
const SKIP = "\x1b[33m-\x1b[0m";
const CASES = /^([a-z][a-z -]*): (\d+) cases passed$/gm;
const LINE = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/;

/** Thrown by a check that cannot be made here; its message says why. */
export class Skip extends Error {}

/** A check that cannot be made here, and which a machine that decides about releases must be able to make. */
export function missing(reason) {
  return process.env.CI === "true" ? new Error(reason) : new Skip(reason);
}

export class Tally {
  passed = 0;
  failed = 0;
  skipped = 0;
  /** How many cases have passed, by system. */
  cases = new Map();

  /** Makes one check and says how it went. `body` may return a remark for the line. */
  async check(name, body) {
    try {
      const remark = await body();
      this.passed++;
      console.log(`${PASS} ${name}${typeof remark === "string" ? `: ${remark}` : ""}`);
    } catch (error) {
      if (error instanceof Skip) {
        this.skip(name, error.message);
      } else {
        this.fail(name, error?.message ?? error);
      }
    }
  }

  fail(name, problem) {
    this.failed++;
    console.log(`${FAIL} ${name}: ${problem}`);
  }

  skip(name, reason) {
    this.skipped++;
    console.log(`${SKIP} ${name}: skipped, ${reason}`);
  }

  /** Adds the results of another. */
  add({ passed = 0, failed = 0, skipped = 0 }) {
    this.passed += passed;
    this.failed += failed;
    this.skipped += skipped;
  }

  /** Takes the lines of `countLine` out of an output. A system among `expected` that has none, or no cases, is a failure. */
  addCases(output, expected) {
    const found = new Map([...output.matchAll(CASES)].map(([, system, count]) => [system, Number(count)]));
    for (const [system, count] of found) this.cases.set(system, count);
    for (const system of expected) if (!found.get(system)) this.fail(system, "no cases passed");
  }

  toString() {
    return `${this.passed} passed, ${this.failed} failed${this.skipped ? `, ${this.skipped} skipped` : ""}`;
  }

  /** Prints the line and ends the process. What still runs by then was forgotten, and is not waited for. */
  finish() {
    console.log(this.toString());
    process.exit(this.failed ? 1 : 0);
  }
}

/** The numbers of a program that ended with the line, or undefined. */
export function readTally(output) {
  const match = LINE.exec(output.trimEnd().split("\n").at(-1));
  return match ? { passed: Number(match[1]), failed: Number(match[2]), skipped: Number(match[3] ?? 0) } : undefined;
}
