/** The calls of applications about dead letters. */
import { mustBe } from "../engine/messages.js";
import { toDeadEvent } from "./dead-letters.js";
import type { OutboxDriver } from "./driver.js";
import type { DeadLetters } from "./outbox-types.js";
import type { Wire } from "./wire.js";

const DEFAULT_LIMIT = 100;

/** @param started the driver of the present identity */
export function deadLetterCalls<E>(wire: Wire<E>, started: () => OutboxDriver<E>): DeadLetters {
  /** Calls of `replay` and `remove`, which run one after the other. */
  let removing: Promise<unknown> = Promise.resolve();
  const remove = async (ids: Iterable<string> | undefined, isReplay: boolean): Promise<number> => {
    const isAll = ids === undefined && isReplay;
    if (!isAll && (typeof ids === "string" || typeof ids?.[Symbol.iterator] !== "function"))
      throw mustBe("ids", "an iterable of strings", ids);
    const wanted = new Set(ids);
    // Two calls with the same id must not find the same dead letter.
    const work = removing.then(async () => {
      const driver = started();
      const all = await driver.dead(Infinity);
      return driver.removeDead(
        all.filter(({ body }) => isAll || wanted.has(wire.idOf(body))),
        isReplay,
      );
    });
    removing = work.catch(() => undefined);
    return work;
  };
  return {
    list: async (limit = DEFAULT_LIMIT) => {
      if (!(typeof limit === "number" && limit >= 0)) throw mustBe("the argument of list", "a number from 0", limit);
      return (await started().dead(limit)).map((letter) => toDeadEvent(wire, letter));
    },
    replay: (ids) => remove(ids, true),
    remove: (ids) => remove(ids, false),
  };
}
