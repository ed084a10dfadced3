/**
 * The names of magic calls: an action and an entity, in either order, in `snake_case` or `camelCase`.
 *
 * ```text
 *   created_my_entity   my_entity_created   createdMyEntity   myEntityCreated
 *        │ split into words
 *   created my entity ──┬─ the last word is the action:   CreatedMy + Entity    tried first, as the original does
 *                       └─ the first word is the action:  MyEntity + Created
 * ```
 */

/** A topic without its category. */
export interface EntityAction {
  entity: string;
  action: string;
}

/** Names that runtimes, test runners and frameworks look up on any object. They are no calls, unless a topic has that name. */
const PROBED_NAMES = new Set([
  "toJSON",
  "asymmetricMatch",
  "nodeType",
  "tagName",
  "ownerDocument",
  "hasAttribute",
  "isMockFunction",
  "toString",
  "toLocaleString",
  "valueOf",
  "hasOwnProperty",
  "isPrototypeOf",
  "propertyIsEnumerable",
  "getReader",
  "defaultProps",
]);

/** Whether a name has the form of a magic call, so that calling it is meant to publish. */
export function isMethodName(name: string): boolean {
  return /^[A-Za-z]+(?:_+[A-Za-z]+)*_*$/.test(name) && /_|[a-z][A-Z]/.test(name) && !PROBED_NAMES.has(name);
}

/**
 * The topics that a name may mean, in order of precedence: first with underscores as the only separators, as in the
 * original, then also with capitals as separators. Empty for names with empty words: `created__test`, `_created_test`.
 */
export function parseMethodName(name: string): EntityAction[][] {
  if (!/^[A-Za-z]+(?:_[A-Za-z]+)*$/.test(name)) return [];
  const words = name.split("_");
  const camelWords = words.flatMap((word) => word.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g) ?? []);
  return [bothOrders(words), ...(camelWords.length > words.length ? [bothOrders(camelWords)] : [])];
}

/** Whether underscores separate the words. */
export function isSnakeCase(name: string): boolean {
  return name.includes("_");
}

/** The names under which a topic can be called. */
export function spellings({ entity, action }: EntityAction): { camel: [string, string]; snake: [string, string] } {
  const words = (entity.match(/[A-Z]?[^A-Z]+|[A-Z]/g) ?? [entity]).map((word) => word.toLowerCase()).join("_");
  const uncapitalize = (name: string) => name.charAt(0).toLowerCase() + name.slice(1);
  return {
    camel: [uncapitalize(action) + entity, uncapitalize(entity) + action],
    snake: [`${action.toLowerCase()}_${words}`, `${words}_${action.toLowerCase()}`],
  };
}

/** The three candidates that are most similar to a name, the nearest first. */
export function nearest(name: string, candidates: Iterable<string>): string[] {
  const start = name.slice(0, 100).toLowerCase();
  const ranked = Array.from(candidates, (candidate) => ({
    candidate,
    distance: levenshteinDistance(start, candidate.toLowerCase()),
  }));
  return ranked
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

function bothOrders(words: readonly string[]): EntityAction[] {
  if (words.length < 2) return [];
  const capitalized = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase());
  return [
    { entity: capitalized.slice(0, -1).join(""), action: capitalized.at(-1)! },
    { entity: capitalized.slice(1).join(""), action: capitalized[0]! },
  ];
}

function levenshteinDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(row[j]! + (a[i] === b[j] ? 0 : 1), row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
