// Bayeux servers of others, each in a process that can be killed and started again at the same address.
import { fileURLToPath } from "node:url";
import { end, start } from "../../child.mjs";

const program = fileURLToPath(new URL("bayeux-server.mjs", import.meta.url));
const PATHS = { cometd: "/cometd", faye: "/bayeux" };
/** Longest for anything that is waited for. */
const PATIENCE_MS = 15_000;

export class Peer {
  #watchers = new Set();
  #child;
  #port = 0;
  #log = [];

  /** @param {"cometd" | "faye"} kind */
  constructor(kind) {
    this.kind = kind;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}${PATHS[this.kind]}`;
  }

  /** What it has told since it was last started. */
  seen(name, value) {
    return this.#log.filter((message) => message[name] === value).length;
  }

  async start(...options) {
    this.#log = [];
    this.#child = start(process.execPath, [program, this.kind, this.#port, ...options], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child.on("message", (message) => {
      this.#log.push(message);
      for (const look of [...this.#watchers]) look();
    });
    const ended = new Promise((_, reject) =>
      this.#child.once("exit", (code) => reject(new Error(`the server of ${this.kind} ended with ${code}`))),
    );
    ended.catch(() => {});
    await Promise.race([
      ended,
      this.until("it listens", () => this.#log.some(({ port }) => (this.#port = port ?? this.#port))),
    ]);
  }

  /** Ends it at once, without a goodbye to anybody. */
  async kill() {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    end(this.#child);
    await gone;
  }

  publish(channel, data) {
    this.#child.send({ publish: [channel, data] });
  }

  /** The next answer that carries an event is lost on the way. */
  loseAnswer() {
    this.#child.send({ lose: true });
  }

  /** Resolves when something is so that the server tells of. */
  until(what, is) {
    return new Promise((resolve, reject) => {
      const settle = (then) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        then();
      };
      const look = () => is() && settle(resolve);
      const timer = setTimeout(
        () => settle(() => reject(new Error(`${this.kind}: it did not come to that: ${what}`))),
        PATIENCE_MS,
      );
      this.#watchers.add(look);
      look();
    });
  }
}

/** Rejects when something takes too long. */
export function soon(what, promise) {
  let timer;
  const late = new Promise(
    (_, reject) => (timer = setTimeout(() => reject(new Error(`it did not come to that: ${what}`)), PATIENCE_MS)),
  );
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
