// Each runner lists the keys that it handles: an expectation with an unknown key would never fail.

/** Throws if the object has an unknown key, with the key and the case in the message. `undefined` has no keys. */
export function onlyKnown(object, known, place, id) {
  for (const key of Object.keys(object ?? {})) {
    if (!known.includes(key))
      throw new UnknownKey(`the runner does not know the key ${JSON.stringify(key)} of ${place} in the case ${id}`);
  }
}

/** Throws if the value is unknown, with the value and the case in the message. */
export function onlyOneOf(value, known, place, id) {
  if (!known.includes(value))
    throw new UnknownKey(`the runner does not know the ${place} ${JSON.stringify(value)} in the case ${id}`);
}

/** An error that no case can expect. */
export class UnknownKey extends Error {}
