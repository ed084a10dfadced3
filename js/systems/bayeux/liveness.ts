/** Watches for what may have broken the connection without a sign of it: sleep, another network, a page in the back. */
import { startTimer, stopTimer } from "../../platform/clock.js";
import { watchPage } from "../../platform/page-lifecycle.js";

/** How often the clocks are compared: after sleep they differ. No request is made for that. */
const CLOCK_CHECK_MS = 30_000;

/** Calls `check` with what has happened. Returns the function that ends it. */
export function watchLiveness(check: (what: "clock" | "network" | "page") => void): () => void {
  const unwatch = watchPage({
    onHidden: () => undefined,
    onVisible: () => check("network"),
    onShown: () => check("page"),
    onOnline: () => check("network"),
  });
  let timer: ReturnType<typeof startTimer>;
  const compareClocks = () => {
    timer = startTimer(() => {
      check("clock");
      compareClocks();
    }, CLOCK_CHECK_MS);
    // A client that waits for nothing else must not keep a process alive.
    (timer as { unref?: () => void }).unref?.();
  };
  compareClocks();
  return () => {
    unwatch();
    stopTimer(timer);
  };
}
