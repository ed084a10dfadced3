// Virtual time for the JavaScript suites. The clock replaces the one of `js/platform/clock.ts`; when nothing else happens, it
// jumps to the next timer.
//
//   virtualTime();                  // at the top of a test file: for all of its tests
//   await sleep(60_000);            // takes no real time; what is due meanwhile happens in order
//   await until(() => done);        // fails after 60 s of virtual time
//   await realTime(promise);        // the clock stands still until real I/O has settled the promise
import { after, before } from "node:test";
import { replaceClock as replaceClockOfPackage } from "../../dist/entries/node/internals.js";
import { replaceClock as replaceClockOfFiles } from "../../dist/platform/clock.js";

/** Turns of the event loop without which nothing more is expected to happen by itself: as many as a response takes to its reader, and some more. */
const QUIET_TURNS = 12;
const START_UNIX_MS = Date.UTC(2026, 0, 1);

/** Replaces the clock of the package, as Node loads it, and that of single files which a test imports. */
function replaceClock(clock) {
  replaceClockOfPackage(clock);
  replaceClockOfFiles(clock);
}

/** Puts a virtual clock in place. `stop` brings the real one back. */
export function startVirtualClock({ unixMs = START_UNIX_MS } = {}) {
  const timers = new Map();
  let now = 1000;
  let offset = unixMs - now;
  let count = 0;
  let isOver = false;
  let holds = 0;

  const clock = {
    unixNow: () => now + offset,
    monotonicNow: () => now,
    startTimer(callback, delayMs = 0) {
      const id = ++count;
      timers.set(id, { at: now + Math.max(0, delayMs), callback });
      const timer = { id, unref: () => timer, ref: () => timer };
      return timer;
    },
    stopTimer: (timer) => void timers.delete(timer?.id),
  };

  const run = async () => {
    while (!isOver) {
      for (let turn = 0; turn < QUIET_TURNS; turn++) await new Promise(setImmediate);
      const next = [...timers].reduce((first, one) => (first && first[1].at <= one[1].at ? first : one), undefined);
      if (!next || isOver || holds > 0) continue;
      timers.delete(next[0]);
      now = Math.max(now, next[1].at);
      next[1].callback();
    }
  };

  replaceClock(clock);
  void run();
  return {
    now: () => now,
    unixNow: clock.unixNow,
    sleep: (ms = 0) => new Promise((resolve) => void clock.startTimer(resolve, ms)),
    /** Time passes in which the program hangs: what is due happens later. */
    hang: (ms) => void (now += ms),
    /** Sets the wall clock ahead, or back, as the user of a machine may. */
    setUnix: (unixMs) => void (offset = unixMs - now),
    async hold(promise) {
      holds++;
      try {
        return await promise;
      } finally {
        holds--;
      }
    },
    /** How many timers run. */
    timers: () => timers.size,
    stop() {
      isOver = true;
      replaceClock();
    },
  };
}

let clock;

/** Virtual time for all tests of a file. */
export function virtualTime(options) {
  before(() => void (clock = startVirtualClock(options)));
  after(() => clock.stop());
}

/** The clock of the file, see `startVirtualClock`. */
export const virtualClock = () => clock;

/** Waits in virtual time. */
export const sleep = (ms) => clock.sleep(ms);

/** Waits for real I/O, such as sockets or the crypto of the platform, without letting virtual time pass. */
export const realTime = (promise) => clock.hold(promise);

/** A signal that aborts after a time, like `AbortSignal.timeout`. */
export function abortAfter(ms) {
  const controller = new AbortController();
  void sleep(ms).then(() => controller.abort(new DOMException("The operation timed out", "TimeoutError")));
  return controller.signal;
}

/** Waits, in virtual time, until something has come about that has no promise. */
export async function until(isTrue, ms = 60_000) {
  for (const end = clock.now() + ms; !isTrue(); await clock.sleep(1)) {
    if (clock.now() > end) throw new Error(`after ${ms} ms of virtual time this is still false: ${isTrue}`);
  }
}
