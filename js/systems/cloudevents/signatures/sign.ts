/** The option `sign`: which id a request has, and how its signature gets into it. */
import { FerryError } from "../../../engine/errors.js";
import { HIDDEN, invalidArgument, mustBe } from "../../../engine/messages.js";
import { sha256, webCrypto } from "../../../platform/crypto.js";
import type { Signer } from "./signature.js";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkSigner(sign: unknown): void {
  if (sign === undefined) return;
  if (typeof (sign as Signer | null)?.sign !== "function")
    throw mustBe("sign", 'a signer, for example standardWebhooks with a key that starts with "whsec_"', HIDDEN);
  if (!webCrypto()) throw invalidArgument("sign needs WebCrypto, which this runtime does not have; pages need https");
}

/**
 * The id of a request with these events, in any order: a repeated request has the same id, and one with other events
 * another.
 */
export async function requestId(events: Iterable<{ source: string; id: string }>): Promise<string> {
  const names = Array.from(events, ({ source, id }) => JSON.stringify([source, id])).sort();
  return `msg_${(await sha256(names.join("\n"))).slice(0, 32)}`;
}

/**
 * The headers of a signature.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` if the signer fails, with its error as `cause`
 */
export async function signatureHeaders(signer: Signer, id: string, body: Uint8Array): Promise<Record<string, string>> {
  try {
    return await signer.sign({ id, body });
  } catch (cause) {
    throw new FerryError("ERR_INVALID_ARGUMENT", "the request could not be signed", { cause });
  }
}
