// What a tab of `leaders.mjs` does: it publishes in rounds, tells when it leads, and hangs while it does if it is told to.

const PER_FLUSH = 5;
const PAUSE_MS = 100;

/** Takes part in the rounds. `tab` is the name of the tab, `problems` what went wrong in the page. */
export function takePart({ publisher, event, note, tab, problems }) {
  const { outbox } = publisher;
  const tell = async (kind, details) => {
    const text = JSON.stringify({ kind, tab, ...details });
    // A page that is being frozen cannot fetch.
    while (!(await note(text).catch(() => undefined))) await new Promise((resolve) => setTimeout(resolve, 100));
  };
  const open = new Set();
  let [isPublishing, published, delivered] = [false, 0, 0];

  /** Hides nothing of the page: a hidden page sends its own events, also if it does not lead. */
  addEventListener("visibilitychange", (happened) => happened.stopImmediatePropagation(), true);
  outbox.addEventListener("leader", ({ detail }) => void tell("leader", { leads: detail.leads, at: Date.now() }));
  // A tab that hangs within a transaction keeps the database from the others. They tell it, and go on afterwards.
  outbox.addEventListener("degraded", ({ detail }) => void tell("degraded", { message: detail.error.message }));

  async function publish(round, ms) {
    isPublishing = true;
    for (const end = performance.now() + ms; performance.now() < end; ) {
      const session = publisher.session();
      const receipts = Array.from({ length: PER_FLUSH }, () =>
        session.publish(event(`${round}.${tab}.${published++}`)),
      );
      for (const receipt of receipts) {
        open.add(receipt);
        receipt.delivered
          .then(
            () => delivered++,
            (error) => problems.push(`${receipt.id}: ${error}`),
          )
          .finally(() => open.delete(receipt));
      }
      await session.flush();
      void tell("accepted", { ids: receipts.map(({ id }) => id) });
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    isPublishing = false;
  }

  new BroadcastChannel("leaders").onmessage = ({ data: { command, round, ms, hangs } }) => {
    if (command === "report") {
      void tell("report", { round, isPublishing, open: open.size, published, delivered, problems });
      return;
    }
    void publish(round, ms);
    for (const { afterMs, forMs, how } of hangs) {
      setTimeout(() => {
        if (!outbox.stats().isLeader) return;
        void tell("hangs", { round });
        // The note has to be under way.
        setTimeout(() => HANGS[how](forMs), 10);
      }, afterMs);
    }
  };
}

const HANGS = {
  /** An endless loop, for a while. */
  loop(ms) {
    for (const end = performance.now() + ms; performance.now() < end; );
  },
  /** Waits in the middle of a task, as in an `alert`. */
  wait(ms) {
    const request = new XMLHttpRequest();
    request.open("GET", `/wait?ms=${ms}`, false);
    try {
      request.send();
    } catch {
      // WebKit ends it after ten seconds.
    }
  },
};
