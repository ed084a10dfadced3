/** Listeners for the problems of stores that are used without an outbox. Internal. */
import { mustBe } from "../engine/messages.js";
import { warn } from "../platform/warn.js";
import type { StoreProblemListener } from "./store.js";

/**
 * A listener for `OutboxStore.open`. If `onProblem` throws, that is reported as an unhandled rejection, and the store goes
 * on. Without `onProblem` the first problem is shown in the console, because it would stay unknown.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` if `onProblem` is not a function
 */
export function problemListener(onProblem: StoreProblemListener | undefined): StoreProblemListener {
  if (onProblem !== undefined && typeof onProblem !== "function") throw mustBe("onProblem", "a function", onProblem);
  if (onProblem) return (error) => void Promise.resolve().then(() => onProblem(error));
  let hasWarned = false;
  return ({ code, message }) => {
    if (!hasWarned) warn(`a store has a problem: ${code}: ${message}; the option onProblem tells of all of them`);
    hasWarned = true;
  };
}
