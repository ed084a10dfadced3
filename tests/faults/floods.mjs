// A million events towards a server that is dead, in memory.
import { CloudEvent, Publisher, isFerryError } from "../../dist/entries/index.js";
import { hold, pause } from "./collector.mjs";

const PUBLISHES = 1_000_000;
const LIMIT = 8 * 1024 * 1024;

export async function floods(tally) {
  await tally.check("a million events towards a dead server", () => flood({}));
  await tally.check("a million events towards a dead server, the oldest staged make room", () =>
    flood({ overflow: "drop-oldest" }),
  );
}

async function flood(options) {
  const publisher = new Publisher({ url: "http://127.0.0.1:9/collect", outbox: { store: "memory", ...options } });
  const session = publisher.session();
  const tenths = [];
  let [refused, codes] = [0, new Set()];
  globalThis.gc?.();
  let memory;
  for (let tenth = 0; tenth < 10; tenth++) {
    const start = process.cpuUsage();
    for (let number = 0; number < PUBLISHES / 10; number++) {
      try {
        session
          .publish(new CloudEvent({ type: "t", source: "/flood", data: { number } }))
          .accepted.catch(() => undefined);
      } catch (error) {
        codes.add(isFerryError(error) ? error.code : String(error));
        refused++;
      }
      if (number % 1000 === 999) {
        await session.flush({ deadlineMs: 0 });
        if (publisher.outbox.stats().bytes > LIMIT) throw new Error(`it holds ${publisher.outbox.stats().bytes} bytes`);
      }
    }
    const { user, system } = process.cpuUsage(start);
    tenths.push((user + system) / 1000);
    await pause(1);
    // When it is full, nothing may be added any more.
    if (tenth === 2) memory = process.memoryUsage();
  }
  const { rss, arrayBuffers } = process.memoryUsage();
  const { accepted, pending, droppedBy } = publisher.outbox.stats();
  await publisher.outbox.close();
  const dropped = droppedBy.reject + droppedBy.dropOldest + droppedBy.dropNewest;
  hold(accepted === pending && accepted > 10_000, `${accepted} were accepted, ${pending} are pending`);
  hold(accepted + dropped === PUBLISHES, `${accepted} were accepted and ${dropped} dropped`);
  hold(
    options.overflow ? refused === 0 : refused === droppedBy.reject && String([...codes]) === "ERR_QUEUE_FULL",
    `${refused} were refused with ${[...codes]}`,
  );
  const grown = (rss - memory.rss) / 2 ** 20;
  hold(
    grown < 60 && arrayBuffers < 2 * LIMIT + memory.arrayBuffers,
    `memory has grown by ${Math.round(grown)} MiB since it was full`,
  );
  const [full, last] = [Math.min(...tenths.slice(0, 5)), Math.min(...tenths.slice(5))];
  hold(last < 3 * full + 50, `${tenths.map(Math.round)} ms of CPU for each tenth`);
  return `${accepted} accepted, ${tenths.map(Math.round).join(", ")} ms of CPU for each tenth, ${Math.round(grown)} MiB more since it was full`;
}
