// Other Bayeux servers, each in a process that can be killed and restarted at the same address.
import { fileURLToPath } from "node:url";
import { end, start } from "../../child.mjs";

const PROGRAM = fileURLToPath(new URL("bayeux-server.mjs", import.meta.url));
const PATHS = { cometd: "/cometd", faye: "/bayeux" };
/** Timeout of everything that is awaited. */
const TIMEOUT_MS = 15_000;

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

  /** Number of such reports of the server since it was last started. */
  seen(name, value) {
    return this.#log.filter((message) => message[name] === value).length;
  }

  async start(...options) {
    this.#log = [];
    this.#child = start(process.execPath, [PROGRAM, this.kind, this.#port, ...options], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child.on("message", (message) => {
      this.#log.push(message);
      for (const check of [...this.#watchers]) check();
    });
    const ended = new Promise((_, reject) =>
      this.#child.once("exit", (code) => reject(new Error(`the ${this.kind} server exited with code ${code}`))),
    );
    ended.catch(() => {});
    await Promise.race([
      ended,
      this.until("the server to listen", () => this.#log.some(({ port }) => port !== undefined)),
    ]);
    this.#port = this.#log.find(({ port }) => port !== undefined).port;
  }

  /** Kills the server; it sends nothing to its clients. */
  async kill() {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    end(this.#child);
    await gone;
  }

  publish(channel, data) {
    this.#child.send({ publish: [channel, data] });
  }

  /** Loses the next response that carries an event. */
  loseResponse() {
    this.#child.send({ lose: true });
  }

  /** Resolves when a condition on the reports of the server is true. */
  until(description, condition) {
    return new Promise((resolve, reject) => {
      const settle = (then) => {
        clearTimeout(timer);
        this.#watchers.delete(check);
        then();
      };
      const check = () => condition() && settle(resolve);
      const timer = setTimeout(
        () => settle(() => reject(new Error(`${this.kind}: timed out waiting for ${description}`))),
        TIMEOUT_MS,
      );
      this.#watchers.add(check);
      check();
    });
  }
}

/** The result of a promise. Rejects if it takes too long. */
export function withTimeout(description, promise) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out waiting for ${description}`)), TIMEOUT_MS);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}
