// Every runner of cases lists the keys that it handles. A key that nobody looks at would be an expectation that cannot fail.

/** Throws if the object has a key that is not known, and names the key and the case. Nothing is an object without keys. */
export function onlyKnown(object, known, place, id) {
  for (const key of Object.keys(object ?? {})) {
    if (!known.includes(key))
      throw new UnknownKey(`the runner does not know the key ${JSON.stringify(key)} of ${place} in the case ${id}`);
  }
}

/** Throws if the value is not among the known ones, and names the value and the case. */
export function onlyOneOf(value, known, place, id) {
  if (!known.includes(value))
    throw new UnknownKey(`the runner does not know the ${place} ${JSON.stringify(value)} in the case ${id}`);
}

/** Never an outcome that a case may expect. */
export class UnknownKey extends Error {}
