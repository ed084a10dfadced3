/**
 * `TextDecoder` and `TextEncoder`. A page that Jest imitates with jsdom has neither, but runs in Node, which has both.
 */
interface TextClasses {
  readonly TextDecoder: typeof globalThis.TextDecoder;
  readonly TextEncoder: typeof globalThis.TextEncoder;
}

const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
const classes: TextClasses =
  typeof globalThis.TextDecoder === "function"
    ? globalThis
    : ((process?.getBuiltinModule?.("node:util") as TextClasses | undefined) ?? globalThis);

export const TextDecoder: TextClasses["TextDecoder"] = classes.TextDecoder;
export const TextEncoder: TextClasses["TextEncoder"] = classes.TextEncoder;
