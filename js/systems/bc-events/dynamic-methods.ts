/** Magic calls: methods of a session that are looked up by name in the topics. */
import { invalidArgument } from "../../engine/messages.js";
import { isMethodName } from "./method-names.js";
import { BriteEventsSession } from "./session.js";
import { Topic, type TopicTable } from "./topics.js";

/**
 * The prototype of a client's sessions: the methods of `BriteEventsSession`, and for every other name the call of a
 * topic. Three kinds of names are never calls: symbols, `then`, so that a session can be awaited, and names that runtimes
 * look up on any object.
 */
export function dynamicMethods(topics: TopicTable): object {
  return new Proxy(Object.create(BriteEventsSession.prototype) as object, {
    has: (target, name) =>
      Reflect.has(target, name) || (typeof name === "string" && topics.resolve(name) instanceof Topic),
    get(target, name, session: BriteEventsSession) {
      if (typeof name === "symbol" || Reflect.has(target, name)) return Reflect.get(target, name, session);
      const found = topics.resolve(name);
      if (found instanceof Topic) return BriteEventsSession.callFor(session, found, name);
      if (!isMethodName(name)) return undefined;
      return () => {
        throw invalidArgument(topics.resolveFailure(name, found ?? []));
      };
    },
  });
}
