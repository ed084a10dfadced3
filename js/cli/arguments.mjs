// The command line of the programs of the package and of the scripts of its repository: `--help`, and a sentence for each
// unknown flag.
import { parseArgs } from "node:util";

/**
 * Reads the flags of a script. Prints its help and exits with 0 at `--help` or `-h`; prints a sentence and exits with 1
 * at an unknown flag, a missing or superfluous value, or an argument that is no flag.
 *
 * @param {object} script
 * @param {string} script.command how the script is called: `"npm test --"`
 * @param {string} script.summary what it does, in a sentence
 * @param {Record<string, { description: string, value?: string }>} [script.flags] by name; `value` is the placeholder
 * of the value, for a flag that takes one: `"<stages>"`
 * @param {string[]} [args] @default those of this process
 * @returns {Record<string, string | true | undefined>} what was given, by flag
 */
export function readArguments({ command, summary, flags = {} }, args = process.argv.slice(2)) {
  const known = { ...flags, help: { description: "print this text" } };
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { value }]) => [name, { type: value === undefined ? "boolean" : "string" }]),
  );
  options.help.short = "h";
  const { tokens, values } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true });
  const names = Object.keys(known).map((name) => `--${name}`);
  const refuse = (sentence) => {
    console.error(`\x1b[31m✗\x1b[0m ${sentence}\n  For help: ${command} --help`);
    process.exit(1);
  };
  for (const token of tokens) {
    if (token.kind === "positional") refuse(`unexpected argument ${JSON.stringify(token.value)}`);
    if (token.kind !== "option") continue;
    const flag = known[token.name];
    if (!flag || !Object.hasOwn(known, token.name))
      refuse(`unknown flag ${token.rawName}; the flags are ${names.join(", ")}`);
    // Without `strict`, parseArgs takes the next flag for the value of this one.
    const isMissing = !token.value || (!token.inlineValue && token.value.startsWith("-"));
    if (flag.value !== undefined && isMissing) refuse(`${token.rawName} needs a value: ${token.rawName}=${flag.value}`);
    if (flag.value === undefined && token.value !== undefined) refuse(`${token.rawName} takes no value`);
  }
  if (values.help) {
    console.log(helpText(command, summary, known));
    process.exit(0);
  }
  return values;
}

function helpText(command, summary, flags) {
  const rows = Object.entries(flags).map(([name, { value, description }]) => [
    `--${name}${value === undefined ? "" : `=${value}`}`,
    description,
  ]);
  const width = Math.max(...rows.map(([flag]) => flag.length));
  const lines = rows.map(([flag, description]) => `  ${flag.padEnd(width)}   ${description}`);
  return `${summary}\n\nUsage: ${command} [flags]\n\n${lines.join("\n")}`;
}
