/**
 * Names of calls that publish: an action and an entity, in either order, in `snake_case` or `camelCase`.
 *
 * ```text
 *   created_my_entity   my_entity_created   createdMyEntity   myEntityCreated
 *        │ words
 *   created my entity ──┬─ the last is the action:   CreatedMy + Entity    read first, as the original does
 *                       └─ the first is the action:  MyEntity + Created
 * ```
 */

/** What a name may mean. */
export interface EntityAction {
  entity: string;
  action: string;
}

/** Names that a runtime, a test runner or a framework may look for. No topic is behind them, unless a topic has that name. */
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

/** Whether a name is made like one of ours, so that who calls it wants to publish. */
export function isMethodName(name: string): boolean {
  return /^[A-Za-z]+(?:_+[A-Za-z]+)*_*$/.test(name) && /_|[a-z][A-Z]/.test(name) && !PROBED_NAMES.has(name);
}

/**
 * What a name may mean, in the order in which it counts: as the original reads it, for whom only underscores part words; then by its capitals.
 * Nothing for names with empty words: `created__test`, `_created_test`.
 */
export function parseMethodName(name: string): EntityAction[][] {
  if (!/^[A-Za-z]+(?:_[A-Za-z]+)*$/.test(name)) return [];
  const words = name.split("_");
  const humps = words.flatMap((word) => word.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g) ?? []);
  return [bothOrders(words), ...(humps.length > words.length ? [bothOrders(humps)] : [])];
}

/** Whether words are parted by underscores alone, as they were in Python. */
export function isSnakeCase(name: string): boolean {
  return name.includes("_");
}

/** The names under which a topic can be called. */
export function spellings({ entity, action }: EntityAction): { camel: [string, string]; snake: [string, string] } {
  const words = (entity.match(/[A-Z]?[^A-Z]+|[A-Z]/g) ?? [entity]).map((word) => word.toLowerCase()).join("_");
  const small = (name: string) => name.charAt(0).toLowerCase() + name.slice(1);
  return {
    camel: [small(action) + entity, small(entity) + action],
    snake: [`${action.toLowerCase()}_${words}`, `${words}_${action.toLowerCase()}`],
  };
}

/** The three of some names that are most like one, the nearest first. */
export function nearest(name: string, names: Iterable<string>): string[] {
  const sought = name.slice(0, 100).toLowerCase();
  const ranked = Array.from(names, (name) => ({ name, levenshteinDistance: distance(sought, name.toLowerCase()) }));
  return ranked
    .sort((one, other) => one.levenshteinDistance - other.levenshteinDistance)
    .slice(0, 3)
    .map(({ name }) => name);
}

function bothOrders(words: readonly string[]): EntityAction[] {
  if (words.length < 2) return [];
  const capitals = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase());
  return [
    { entity: capitals.slice(0, -1).join(""), action: capitals.at(-1)! },
    { entity: capitals.slice(1).join(""), action: capitals[0]! },
  ];
}

/** How many letters have to be put in, taken out or replaced (Levenshtein). */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let at = 0; at < one.length; at++) {
    const next = [at + 1];
    for (let to = 0; to < other.length; to++) {
      next.push(Math.min(row[to]! + (one[at] === other[to] ? 0 : 1), row[to + 1]! + 1, next[to]! + 1));
    }
    row = next;
  }
  return row[other.length]!;
}
