/** Which tab or process sends the events of an outbox, as far as this one knows. */
import { LeaderElection } from "../platform/leader.js";
import type { TabMessage } from "./tab-message.js";

export interface LeaderChange {
  leads: boolean;
  /** Whether that is new here. */
  isChanged: boolean;
  /** Whether this one leads, and another one may have led before. */
  isSuccessor: boolean;
}

export interface LeadershipOptions {
  /** It is known who leads. */
  onChange(change: LeaderChange): void;
  onMessage(message: TabMessage): void;
}

export class Leadership {
  isLeader = false;
  /** Whether it is known who leads. */
  isKnown = false;
  readonly #options: LeadershipOptions;
  #election: LeaderElection<TabMessage> | undefined;
  /** Whether it was known at any time. */
  #wasKnown = false;

  constructor(options: LeadershipOptions) {
    this.#options = options;
  }

  /** Whether others tell at once what they do. */
  get hasNews(): boolean {
    return this.#election?.hasNews === true;
  }

  /** The store is open: others with the same scope can be told and elected. */
  open(scope: ConstructorParameters<typeof LeaderElection>[0]): void {
    this.#election ??= new LeaderElection(scope, {
      onLeaderChange: (leads) => {
        const isChanged = this.isLeader !== leads || !this.#wasKnown;
        const isSuccessor = leads && this.#wasKnown;
        this.isLeader = leads;
        this.isKnown = this.#wasKnown = true;
        this.#options.onChange({ leads, isChanged, isSuccessor });
      },
      onMessage: (message) => this.#options.onMessage(message),
    });
  }

  join(): void {
    this.#election?.join();
  }

  /** Lets another tab lead. */
  resign(): void {
    this.#election?.release();
    this.isKnown = false;
  }

  /** See `StoreSync.confirmLead`. */
  confirm(): boolean | Promise<boolean> {
    return this.#election?.confirm() ?? false;
  }

  broadcast(message: TabMessage): void {
    this.#election?.broadcast(message);
  }

  /** Makes the message only if there are other tabs. */
  broadcastLazily(message: () => TabMessage): void {
    this.#election?.broadcastLazily(message);
  }

  async close(): Promise<void> {
    await this.#election?.close();
  }
}
