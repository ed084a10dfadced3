// Interleaved timing. Ratios are taken within a round and only then summarised, so that whatever else the
// machine does meanwhile hits all contenders alike.

/**
 * A contender does the same work as its rivals in its own way.
 *
 * @typedef {object} Contender
 * @property {string} name
 * @property {(at: number) => unknown} show the result for one input, to compare with the rivals
 * @property {(from: number, to: number) => number} run works through inputs and sums up what it read
 * @property {(from: number, to: number) => void} [prepare] makes inputs that can be used only once; not timed
 */

/** What a run may cost. `slice` is how long one contender runs at a stretch; clocks of browsers are coarse. */
export const BUDGETS = {
  full: { rounds: 31, warmup: 250, slice: 6 },
  quick: { rounds: 5, warmup: 60, slice: 5 },
};

let sink = 0;

/**
 * Measures rivals; the first two are those that others are compared with: the SDK, and the plain way.
 * `most` is how many inputs are worked through at a stretch, where preparing many would keep more in memory than
 * a program that handles one after the other.
 */
export function measure({ title, unit = "event", inputs, most = inputs, contenders }, { rounds, warmup, slice }) {
  agree(title, inputs, most, contenders);
  const runners = contenders.map((contender) => ({ contender, count: 1, at: 0, times: [] }));
  // All warm up in turns, because what the engine learns from one may spoil its code for another.
  for (let turn = 0; turn < 4; turn++) {
    for (const runner of runners) {
      const end = performance.now() + warmup / 4;
      while (performance.now() < end) {
        const took = stretch(runner, inputs) * runner.count;
        const wanted = took > 0 ? Math.ceil((runner.count * slice) / took) : runner.count * 4;
        runner.count = Math.max(1, Math.min(wanted, runner.count * 4, most));
      }
    }
  }
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 ? [...runners].reverse() : runners;
    for (const runner of order) {
      let took = 0;
      let stretches = 0;
      do {
        took += stretch(runner, inputs);
        stretches++;
      } while (took * runner.count < slice);
      runner.times.push((took / stretches) * 1e6);
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

/** Milliseconds for one input, from one stretch without a break. */
function stretch(runner, inputs) {
  const { contender, count } = runner;
  const from = runner.at + count > inputs ? 0 : runner.at;
  runner.at = from + count;
  contender.prepare?.(from, runner.at);
  const start = performance.now();
  sink += contender.run(from, runner.at);
  return (performance.now() - start) / count;
}

function agree(title, inputs, most, contenders) {
  for (const at of [0, 1, inputs >> 1, inputs - 1]) {
    const shown = contenders.map((contender) => {
      contender.prepare?.(at, at + 1);
      return JSON.stringify(contender.show(at));
    });
    shown.forEach((text, which) => {
      if (text !== shown[0])
        throw new Error(`${title}: ${contenders[which].name} says ${text}, but ${contenders[0].name} says ${shown[0]}`);
    });
  }
  const sums = contenders.map((contender) => {
    const some = Math.min(inputs >> 4, most);
    contender.prepare?.(0, some);
    return contender.run(0, some);
  });
  if (sums.some((sum) => sum !== sums[0]))
    throw new Error(`${title}: the sums are ${sums}, for ${contenders.map(({ name }) => name)}`);
}

/** Median, and the distance of the quartiles in per cent of it. */
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

/** Keeps the sums alive. */
export const consumed = () => sink;
