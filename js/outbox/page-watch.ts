/** What an outbox does when its page is hidden, closed, shown again, or online again. */
import { watchPage } from "../platform/page-lifecycle.js";
import type { OutboxDrivers } from "./drivers.js";

export class PageWatch<E> {
  readonly #drivers: OutboxDrivers<E>;
  readonly #resendsWhenHidden: boolean;
  #unwatch: (() => void) | undefined;
  /** Whether the page was closed, though it may come back from the cache. */
  #isPageClosed = false;
  /** Whether it cannot come back. */
  #isPageGone = false;
  /** Whether it is being closed, until that is handled. */
  #isEnding = false;
  /** Whether it uses the machines at this moment. If it does when an event arrives, its script was terminated. */
  #isUsingMachines = false;

  constructor(drivers: OutboxDrivers<E>, resendsWhenHidden: boolean) {
    this.#drivers = drivers;
    this.#resendsWhenHidden = resendsWhenHidden;
  }

  start(): void {
    this.#unwatch ??= watchPage({
      onHidden: (isEnding, isGone) => this.#onHidden(isEnding, isGone),
      onFrozen: () => this.#resign(),
      onVisible: () => {
        this.#isPageClosed = this.#isEnding = false;
        for (const driver of this.#drivers.all()) driver.pageShown();
        this.#drivers.tryPresent()?.joinElection();
      },
      onOnline: () => this.#drivers.tryPresent()?.online(),
    });
  }

  stop(): void {
    this.#unwatch?.();
  }

  /**
   * Firefox terminates the script of a page that is closed at any point, without an error and without `finally`, and then calls
   * it for the next event of the page. Each step can be repeated.
   */
  #onHidden(isEnding: boolean, isGone: boolean): void {
    this.#isEnding ||= isEnding;
    this.#isPageGone ||= isGone;
    if (this.#isUsingMachines) {
      this.#drivers.restart();
      this.#backUp(false);
    }
    this.#useMachines(() => this.#drivers.commitAll());
    // First: browsers may end a page in the middle of many requests.
    this.#backUp(this.#isEnding && !this.#isPageClosed);
    // Chromium hides a page after it was closed. By then everything was sent.
    if (!this.#isPageClosed) this.#useMachines(() => this.#drivers.tryPresent()?.pageHidden(this.#resendsWhenHidden));
    if (!this.#isEnding) return;
    this.#isPageClosed = true;
    for (const driver of this.#drivers.all()) driver.saveInFlight();
    this.#useMachines(() => this.#resign());
    this.#isEnding = false;
  }

  #backUp(isEnding: boolean): void {
    for (const driver of this.#drivers.all()) driver.backUp(isEnding, this.#isPageGone);
  }

  #useMachines(use: () => void): void {
    this.#isUsingMachines = true;
    try {
      use();
    } finally {
      this.#isUsingMachines = false;
    }
  }

  #resign(): void {
    for (const driver of this.#drivers.all()) driver.resign();
  }
}
