/** What the candidates of an election have in common. */

/** Somebody who wants to lead, in one of several ways. */
export interface Candidate {
  /**
   * Whether it leads at this moment. A promise if it has to ask, because it may have hung for so long that another one
   * was elected.
   */
  confirm(): boolean | Promise<boolean>;
  /** Ends the candidacy; the listener is not called any more. */
  withdraw(): void;
}

/**
 * Messages between the candidates of an election by locks. `alive`: the sender leads, and its program runs. `ping`: asks
 * the leader for that.
 */
export interface ElectionMessage {
  election: "alive" | "ping";
}
