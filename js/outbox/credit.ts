/** How much more a session may stage before it has to ask the machine again. */
export interface Credit {
  bytes: number;
  events: number;
}

export const NO_CREDIT: Credit = { bytes: 0, events: 0 };

/** Upper limit of a credit: unencoded texts take more memory than bytes, and encoding many at once takes longer. */
export const MAX_CREDIT_BYTES: number = 192 * 1024;
