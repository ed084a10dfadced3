// Times single steps in turns, so that other load on the machine affects all of them alike.
import { quartiles } from "../measure.mjs";

/** Number and length of the measurements, in milliseconds. */
const BUDGETS = { full: { rounds: 31, warmup: 150, slice: 4 }, quick: { rounds: 5, warmup: 30, slice: 3 } };

/** Uses the results, so that an engine cannot remove the work. */
let checksum = 0;
export const totalChecksum = () => checksum;

/**
 * A step.
 *
 * @typedef {object} Step
 * @property {string} name
 * @property {boolean} [isLimit] it is not a part of eventferry, but what the platform takes for such a thing
 * @property {string[]} [without] the names of earlier steps that `run` repeats; their medians are subtracted
 * @property {(at: number) => number} run does the work with one input and returns a number
 * @property {() => void} [prepare] called before each measurement; not timed
 */

/**
 * The time of each step, in nanoseconds.
 *
 * @param {number} inputs the number of inputs
 * @param {Step[]} steps
 */
export function timeSteps(inputs, steps, quick) {
  const { rounds, warmup, slice } = quick ? BUDGETS.quick : BUDGETS.full;
  const runners = steps.map((step) => ({ step, count: 16, times: [] }));
  for (let turn = 0; turn < 4; turn++) {
    for (const runner of runners) {
      const end = performance.now() + warmup / 4;
      while (performance.now() < end) {
        const nanoseconds = once(runner.step, runner.count, inputs);
        const wanted = nanoseconds > 0 ? Math.ceil((slice * 1e6) / nanoseconds) : runner.count * 4;
        runner.count = Math.max(1, Math.min(wanted, runner.count * 4, runner.step.prepare ? inputs : Infinity));
      }
    }
  }
  for (let round = 0; round < rounds; round++)
    for (const runner of round % 2 ? [...runners].reverse() : runners)
      runner.times.push(once(runner.step, runner.count, inputs));
  return rowsOf(runners.map(({ step, times }) => ({ ...step, times })));
}

function once({ run, prepare }, count, inputs) {
  prepare?.();
  let sum = 0;
  const start = performance.now();
  for (let at = 0; at < count; at++) sum += run(at % inputs);
  const took = performance.now() - start;
  checksum += sum;
  return (took * 1e6) / count;
}

/** A row for each step: the median in nanoseconds without the steps that it repeats, and the spread in per cent. */
export function rowsOf(steps) {
  return steps.map(({ name, isLimit = false, times, without = [] }) => {
    const repeated = steps.filter((other) => without.includes(other.name));
    const own = times.map((time, round) => repeated.reduce((left, other) => left - other.times[round], time));
    return { name, isLimit, nanoseconds: quartiles(own) };
  });
}
