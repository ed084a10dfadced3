/** Access tokens: a text, or a function of the application. No message shows one. */
import { FerryError } from "../../engine/errors.js";
import { checkBareToken } from "../../client/options.js";
import { HIDDEN, mustBe } from "../../engine/messages.js";

/** An access token, or a function that returns one and is called before each request. */
export type TokenOption = string | (() => string | Promise<string>);

export const TOKEN_TYPE = "a string or a function that returns one";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT`, with a message that does not show the token */
export function checkToken(name: string, token: unknown): asserts token is string {
  if (typeof token !== "string") {
    const type = token === null ? "null" : `a value of type ${typeof token}`;
    throw mustBe(name, TOKEN_TYPE, HIDDEN, `received ${type}`);
  }
  if (token === "") throw mustBe(name, "a non-empty string", token);
  checkBareToken(name, token);
  if (!/^[\x21-\x7e\xa0-\xff](?:[\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa0-\xff])?$/.test(token)) {
    const advice = "it has a line break, a space at its start or end, or a character that headers do not allow";
    throw mustBe(name, "a valid header value", HIDDEN, advice);
  }
}

/**
 * The token of an option, as a promise only if the function of the user returns one.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_NETWORK` for a function that fails, or its `FerryError`
 */
export function resolveToken(name: string, option: TokenOption): string | Promise<string> {
  if (typeof option === "string") return option;
  const failure = (cause: unknown) =>
    cause instanceof FerryError
      ? cause
      : new FerryError("ERR_NETWORK", `the ${name} function failed; no request was made`, { cause, culprit: "caller" });
  const checked = (token: string) => {
    checkToken(name, token);
    return token;
  };
  let given: string | Promise<string>;
  try {
    given = option();
  } catch (cause) {
    throw failure(cause);
  }
  if (typeof (given as Promise<string> | undefined)?.then !== "function") return checked(given as string);
  return Promise.resolve(given).then(checked, (cause: unknown) => {
    throw failure(cause);
  });
}
