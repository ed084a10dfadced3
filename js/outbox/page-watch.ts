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

  constructor(drivers: OutboxDrivers<E>, resendsWhenHidden: boolean) {
    this.#drivers = drivers;
    this.#resendsWhenHidden = resendsWhenHidden;
  }

  start(): void {
    this.#unwatch ??= watchPage({
      onHidden: (isEnding, isGone) => this.#onHidden(isEnding, isGone),
      onFrozen: () => this.#resign(),
      onVisible: () => {
        this.#isPageClosed = false;
        for (const driver of this.#drivers.all()) driver.pageShown();
        this.#drivers.tryPresent()?.joinElection();
      },
      onOnline: () => this.#drivers.tryPresent()?.online(),
    });
  }

  stop(): void {
    this.#unwatch?.();
  }

  #onHidden(isEnding: boolean, isGone: boolean): void {
    this.#isPageGone ||= isGone;
    this.#drivers.commitAll();
    // First: browsers may end a page in the middle of many requests.
    for (const driver of this.#drivers.all()) driver.backUp(isEnding && !this.#isPageClosed, this.#isPageGone);
    const present = this.#drivers.tryPresent();
    // Chromium hides a page after it was closed. By then everything was sent.
    if (!this.#isPageClosed) present?.pageHidden(this.#resendsWhenHidden);
    this.#isPageClosed ||= isEnding;
    if (!isEnding) return;
    for (const driver of this.#drivers.all()) driver.saveInFlight();
    this.#resign();
  }

  #resign(): void {
    for (const driver of this.#drivers.all()) driver.resign();
  }
}
