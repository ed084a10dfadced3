/** Watches for what may have broken the connection without a sign of it: sleep, another network, a page in the back. */
import { startIdleTimer, type startTimer, stopTimer } from "../../platform/clock.js";
import { watchPage } from "../../platform/page-lifecycle.js";

/** How often the clocks are compared: after sleep they differ. No request is made for that. */
const CLOCK_CHECK_MS = 30_000;

/** Watches the page, and while there is a connection also the clocks. */
export class LivenessWatcher {
  readonly #check: (what: "clock" | "network" | "page") => void;
  readonly #unwatchPage: () => void;
  #timer: ReturnType<typeof startTimer> | undefined;

  /** @param check is called with what has happened, or at intervals with `clock` */
  constructor(check: (what: "clock" | "network" | "page") => void) {
    this.#check = check;
    this.#unwatchPage = watchPage({
      onHidden: () => undefined,
      onVisible: () => check("network"),
      onShown: () => check("page"),
      onOnline: () => check("network"),
    });
  }

  /** Without a connection, the next attempt finds out by itself. */
  setConnected(isConnected: boolean): void {
    stopTimer(this.#timer);
    if (!isConnected) return;
    this.#timer = startIdleTimer(() => {
      this.setConnected(true);
      this.#check("clock");
    }, CLOCK_CHECK_MS);
  }

  stop(): void {
    this.#unwatchPage();
    this.setConnected(false);
  }
}
