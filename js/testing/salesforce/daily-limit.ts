/** How many events are delivered in a day. */
const DAY_MS = 86_400_000;

export class DailyLimit {
  readonly #eventsPerDay: number;
  readonly #now: () => number;
  #delivered = { day: 0, count: 0 };

  constructor(eventsPerDay: number, now: () => number) {
    this.#eventsPerDay = eventsPerDay;
    this.#now = now;
  }

  get isReached(): boolean {
    this.count(0);
    return this.#delivered.count >= this.#eventsPerDay;
  }

  count(events: number): void {
    const day = Math.floor(this.#now() / DAY_MS);
    if (day !== this.#delivered.day) this.#delivered = { day, count: 0 };
    this.#delivered.count += events;
  }
}
