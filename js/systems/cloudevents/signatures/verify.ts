/** The option `verify`: whether a delivery is genuine by any of several verifiers. */
import { FerryError, isFerryError } from "../../../engine/errors.js";
import { HIDDEN, mustBe } from "../../../engine/messages.js";
import type { SignedMessage, Verifier } from "./signature.js";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkVerifiers(verify: Verifier | readonly Verifier[] | undefined): readonly Verifier[] {
  if (verify === undefined) return [];
  const verifiers = Array.isArray(verify) ? [...verify] : [verify];
  if (verifiers.length === 0) throw mustBe("verify", "a verifier or a non-empty list of them", verify);
  for (const verifier of verifiers)
    if (typeof (verifier as Verifier | null)?.verify !== "function")
      throw mustBe("verify", "a verifier, for example github(secret), or a list of them", HIDDEN);
  return verifiers;
}

/**
 * Checks a delivery. Resolves with the first verifier that says that it is genuine; with `undefined` if there is none to
 * ask.
 *
 * @throws {FerryError} `ERR_UNAUTHORIZED` with the reason of each verifier; what a verifier throws that could not check
 */
export async function verifyWith(
  verifiers: readonly Verifier[],
  message: SignedMessage,
): Promise<Verifier | undefined> {
  if (verifiers.length === 0) return undefined;
  const reasons: string[] = [];
  let failure: { error: unknown } | undefined;
  for (const verifier of verifiers) {
    const { name } = verifier;
    const prefix = verifiers.length > 1 ? `${name}: ` : "";
    try {
      if ((await verifier.verify(message)) === true) return verifier;
      reasons.push(`${prefix}the delivery is not genuine`);
    } catch (error) {
      if (!isFerryError(error, "ERR_UNAUTHORIZED")) failure ??= { error };
      else reasons.push(`${prefix}${error.message}`);
    }
  }
  if (failure) throw failure.error;
  throw new FerryError("ERR_UNAUTHORIZED", reasons.join("; "));
}
