/**
 * Where a machine's outputs go while it is drained. Nothing is done then: a machine is locked as long as it talks, so
 * what it says is written down, and played when it has finished.
 */

/** What is done for each thing that a machine may say, by the names in `src/wasm`. */
export type Handlers = Record<string, (...args: never[]) => void>;

export interface EffectQueue<H extends Handlers> {
  /** Given to the machine. */
  readonly effects: H;
  /** Does what was written down. */
  run(): void;
}

/** A sink for these handlers. */
export function effectQueue<H extends Handlers>(handlers: H): EffectQueue<H> {
  let said: [string, never[]][] = [];
  let isPlaying = false;
  const sink: Handlers = {};
  for (const name in handlers) sink[name] = (...args) => void said.push([name, args]);
  return {
    effects: sink as H,
    run() {
      // What is done may make the machine talk again; that waits for its turn.
      if (isPlaying) return;
      isPlaying = true;
      try {
        for (let at = 0; at < said.length; at++) {
          const [name, args] = said[at]!;
          handlers[name]!(...args);
        }
      } finally {
        isPlaying = false;
        said = [];
      }
    },
  };
}
