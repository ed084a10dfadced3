// Interleaved timing. Ratios are taken within a round and then summarised, so that other load on the machine affects all
// contenders alike.

/**
 * One of several implementations of the same work.
 *
 * @typedef {object} Contender
 * @property {string} name
 * @property {(at: number) => unknown} returns the result for one input, to compare it with the others
 * @property {(from: number, to: number) => number | Promise<number>} run processes inputs and returns a sum of what it read
 * @property {(from: number, to: number) => void} [prepare] makes inputs that can be used only once; not timed
 */

/** Number and length of the measurements, in milliseconds. `slice` is one measurement; clocks of browsers are coarse. */
export const BUDGETS = {
  full: { rounds: 31, warmup: 250, slice: 6 },
  quick: { rounds: 5, warmup: 60, slice: 5 },
};

/** Uses the results, so that the engine cannot remove the work. */
let checksum = 0;

/**
 * Measures contenders. The first two are the baselines: the SDK, and the plain way.
 * `maxInputs` limits the inputs of one measurement, where many prepared inputs would need more memory than a program
 * that processes one after the other.
 */
export async function measure(
  { title, unit = "event", inputs, maxInputs = inputs, contenders },
  { rounds, warmup, slice },
) {
  await checkAgreement(title, inputs, maxInputs, contenders);
  const runners = contenders.map((contender) => ({ contender, count: 1, at: 0, times: [] }));
  // The warm-up is interleaved as well, because code that is optimised for one contender may be slower for another.
  for (let turn = 0; turn < 4; turn++) {
    for (const runner of runners) {
      const end = performance.now() + warmup / 4;
      while (performance.now() < end) {
        const took = (await measureOnce(runner, inputs)) * runner.count;
        const wanted = took > 0 ? Math.ceil((runner.count * slice) / took) : runner.count * 4;
        runner.count = Math.max(1, Math.min(wanted, runner.count * 4, maxInputs));
      }
    }
  }
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 ? [...runners].reverse() : runners;
    for (const runner of order) {
      let took = 0;
      let measurements = 0;
      do {
        took += await measureOnce(runner, inputs);
        measurements++;
      } while (took * runner.count < slice);
      runner.times.push((took / measurements) * 1e6);
    }
  }
  const [sdk, plain] = runners;
  return {
    title,
    unit,
    rows: runners.map(({ contender, times }) => ({
      name: contender.name,
      nanoseconds: quartiles(times),
      overSdk: quartiles(times.map((time, round) => sdk.times[round] / time)),
      overPlain: quartiles(times.map((time, round) => plain.times[round] / time)),
    })),
  };
}

/** The milliseconds per input, from one measurement. */
async function measureOnce(runner, inputs) {
  const { contender, count } = runner;
  const from = runner.at + count > inputs ? 0 : runner.at;
  runner.at = from + count;
  contender.prepare?.(from, runner.at);
  const start = performance.now();
  const sum = contender.run(from, runner.at);
  // Only what is asynchronous takes another turn.
  checksum += typeof sum === "number" ? sum : await sum;
  return (performance.now() - start) / count;
}

/** Throws unless all contenders have the same results. */
async function checkAgreement(title, inputs, maxInputs, contenders) {
  for (const at of new Set([0, 1 % inputs, inputs >> 1, inputs - 1])) {
    const shown = [];
    for (const contender of contenders) {
      contender.prepare?.(at, at + 1);
      shown.push(JSON.stringify(await contender.show(at)));
    }
    shown.forEach((text, which) => {
      if (text !== shown[0])
        throw new Error(
          `${title}: ${contenders[which].name} returned ${text}, but ${contenders[0].name} returned ${shown[0]}`,
        );
    });
  }
  const sums = [];
  for (const contender of contenders) {
    const some = Math.min(Math.max(1, inputs >> 4), maxInputs);
    contender.prepare?.(0, some);
    sums.push(await contender.run(0, some));
  }
  if (sums.some((sum) => sum !== sums[0]))
    throw new Error(`${title}: the sums are ${sums}, for ${contenders.map(({ name }) => name)}`);
}

/** The median, and the interquartile range in per cent of it. */
export function quartiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part) => {
    const place = part * (sorted.length - 1);
    const below = Math.floor(place);
    return sorted[below] + (sorted[Math.ceil(place)] - sorted[below]) * (place - below);
  };
  const median = at(0.5);
  return { median, spread: (100 * (at(0.75) - at(0.25))) / median };
}

/** The sum of all results. */
export const totalChecksum = () => checksum;
