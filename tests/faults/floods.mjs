// A million events are published in memory while the server is unreachable: memory and time stay bounded.
import { CloudEvent, isFerryError, Publisher } from "../../dist/entries/index.js";
import { ensure, sleep } from "./collector.mjs";

const PUBLISHES = 1_000_000;
const LIMIT = 8 * 1024 * 1024;

export async function floods(tally) {
  await tally.check("a million events to an unreachable server stay within the memory limit", () => flood({}));
  await tally.check("a million events to an unreachable server stay within the memory limit with drop-oldest", () =>
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
        if (publisher.outbox.stats().bytes > LIMIT)
          throw new Error(`the outbox holds ${publisher.outbox.stats().bytes} bytes`);
      }
    }
    const { user, system } = process.cpuUsage(start);
    tenths.push((user + system) / 1000);
    await sleep(1);
    // By now the outbox is full, and memory must not grow any more.
    if (tenth === 2) memory = process.memoryUsage();
  }
  const { rss, arrayBuffers } = process.memoryUsage();
  const { accepted, pending, droppedBy } = publisher.outbox.stats();
  await publisher.outbox.close();
  const dropped = droppedBy.reject + droppedBy.dropOldest + droppedBy.dropNewest;
  ensure(accepted === pending && accepted > 10_000, `${accepted} were accepted, ${pending} are pending`);
  ensure(accepted + dropped === PUBLISHES, `${accepted} were accepted and ${dropped} dropped`);
  ensure(
    options.overflow ? refused === 0 : refused === droppedBy.reject && String([...codes]) === "ERR_QUEUE_FULL",
    `${refused} were refused with ${[...codes]}`,
  );
  const grown = (rss - memory.rss) / 2 ** 20;
  ensure(
    grown < 60 && arrayBuffers < 2 * LIMIT + memory.arrayBuffers,
    `memory has grown by ${Math.round(grown)} MiB since the outbox was full`,
  );
  const [full, last] = [Math.min(...tenths.slice(0, 5)), Math.min(...tenths.slice(5))];
  ensure(last < 3 * full + 50, `${tenths.map(Math.round)} ms of CPU for each tenth`);
  return `${accepted} accepted, ${tenths.map(Math.round).join(", ")} ms of CPU for each tenth, ${Math.round(grown)} MiB more since the outbox was full`;
}
