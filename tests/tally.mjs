// Counts checks. Every test program ends with the same line, so that `npm test` can add up their results.

const PASS = "\x1b[32m✓\x1b[0m";
const FAIL = "\x1b[31m✗\x1b[0m";
const SKIP = "\x1b[33m-\x1b[0m";
const CASES = /^([a-z][a-z -]*): (\d+) cases passed$/gm;
const LINE = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/;

/** Thrown by a check that cannot run on this machine; its message gives the reason. */
export class Skip extends Error {}

/** The error for a check whose tools are missing: a failure with CI=true, a skip otherwise. */
export function missing(reason) {
  return process.env.CI === "true" ? new Error(reason) : new Skip(reason);
}

export class Tally {
  passed = 0;
  failed = 0;
  skipped = 0;
  /** Number of passed cases, by system. */
  cases = new Map();

  /** Runs one check and prints the result. `body` may return a remark for the printed line. */
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

  /** Adds the results of another program. */
  add({ passed = 0, failed = 0, skipped = 0 }) {
    this.passed += passed;
    this.failed += failed;
    this.skipped += skipped;
  }

  /** Reads the lines of `countLine` from an output. An `expected` system without passed cases is a failure. */
  addCases(output, expected) {
    const found = new Map([...output.matchAll(CASES)].map(([, system, count]) => [system, Number(count)]));
    for (const [system, count] of found) this.cases.set(system, count);
    for (const system of expected) if (!found.get(system)) this.fail(system, "no cases passed");
  }

  toString() {
    return `${this.passed} passed, ${this.failed} failed${this.skipped ? `, ${this.skipped} skipped` : ""}`;
  }

  /** Prints the final line and exits, without waiting for anything that still runs. */
  finish() {
    console.log(this.toString());
    process.exit(this.failed ? 1 : 0);
  }
}

/** The results in the last line of an output, or undefined if it is not that line. */
export function readTally(output) {
  const match = LINE.exec(output.trimEnd().split("\n").at(-1));
  return match ? { passed: Number(match[1]), failed: Number(match[2]), skipped: Number(match[3] ?? 0) } : undefined;
}
