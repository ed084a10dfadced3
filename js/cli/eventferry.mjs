#!/usr/bin/env node
// `npx eventferry`: the programs of the package. Each has a file of its own, which is imported only when it is called.
import { readFileSync } from "node:fs";

const COMMANDS = {
  emulator: "serves an emulator of all systems on 127.0.0.1",
  demo: "serves the demo page and the emulator that it talks to",
};

const [command, ...args] = process.argv.slice(2);
if (command === "--help" || command === "-h") {
  console.log(help());
} else if (command === "--version" || command === "-v") {
  console.log(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version);
} else if (command === undefined) {
  console.error(help());
  process.exit(1);
} else if (Object.hasOwn(COMMANDS, command)) {
  const { main } = await import(`./${command}.mjs`);
  await main(args);
} else {
  console.error(
    `\x1b[31m✗\x1b[0m unknown command ${JSON.stringify(command)}; the commands are ${Object.keys(COMMANDS).join(", ")}`,
  );
  console.error("  For help: npx eventferry --help");
  process.exit(1);
}

function help() {
  const rows = Object.entries(COMMANDS).map(([name, description]) => `  ${name.padEnd(10)} ${description}`);
  return `The programs of the package eventferry.

Usage: npx eventferry <command> [flags]

${rows.join("\n")}

  --version  prints the version of the package
  --help     prints this text; \`npx eventferry <command> --help\` prints the flags of a command`;
}
