/**
 * Records the outputs of a machine while it is drained, and carries them out afterwards: a machine is locked during
 * `drain`, so a handler must not run then.
 */

/** The handlers for the outputs of a machine, by their names in `src/wasm`. */
export type Handlers = Record<string, (...args: never[]) => void>;

/** A queue of calls to handlers. */
export interface EffectQueue<H extends Handlers> {
  /** Given to the machine: each method only appends a call to the queue. */
  readonly effects: H;
  /**
   * Makes the queued calls in order. Does nothing if it is running already.
   *
   * @throws what the first handler that failed has thrown, after all calls
   */
  run(): void;
  /** Drops the queued calls, also those that `run` has not made yet. Afterwards `run` makes calls, even if one was terminated. */
  clear(): void;
}

/** A queue for these handlers. */
export function effectQueue<H extends Handlers>(handlers: H): EffectQueue<H> {
  let calls: [string, never[]][] = [];
  /** The index of the next call that is made. */
  let next = 0;
  let isRunning = false;
  const effects: Handlers = {};
  for (const name in handlers) effects[name] = (...args) => void calls.push([name, args]);
  const clear = () => {
    calls = [];
    next = 0;
    isRunning = false;
  };
  return {
    effects: effects as H,
    run() {
      // A handler may drain the machine again. The loop below then makes the new calls too.
      if (isRunning) return;
      isRunning = true;
      const errors: unknown[] = [];
      while (next < calls.length) {
        const [name, args] = calls[next++]!;
        try {
          handlers[name]!(...args);
        } catch (error) {
          // The machine counts on the other calls.
          errors.push(error);
        }
      }
      clear();
      if (errors.length > 0) throw errors[0];
    },
    clear,
  };
}
