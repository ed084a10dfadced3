// llms.txt and llms-full.txt for language models, from the pages of www/docs in the order of their index. The build writes
// them beside the README, so that the package has them.
//
//   llms.txt        what the package is, and a line with the title and first sentence of each page
//   llms-full.txt   the README and all pages
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const read = (path) => readFileSync(join(root, path), "utf8");

/** The groups of the index: `{ title, pages: [{ name, title, summary, text }] }`. */
export function docGroups() {
  const groups = [];
  const seen = new Set();
  for (const line of read("www/docs/index.md").split("\n")) {
    const [, group] = /^## (.+)$/.exec(line) ?? [];
    if (group) groups.push({ title: group, pages: [] });
    if (!line.startsWith("- ")) continue;
    for (const [, name] of line.matchAll(/\]\(([\w-]+)\.md\)/g)) {
      if (seen.has(name)) continue;
      seen.add(name);
      groups.at(-1).pages.push({ name, ...readPage(name) });
    }
  }
  return groups;
}

function readPage(name) {
  const text = read(`www/docs/${name}.md`);
  const [, title, paragraph] = /^# (.+)\n\n([^]*?)\n\n/.exec(`${text}\n\n`);
  const summary = /^[^]*?\.(?=\s|$)/.exec(paragraph)?.[0] ?? paragraph;
  return { title, summary: withoutLinks(summary).replace(/\s+/g, " "), text };
}

const withoutLinks = (text) => text.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");

/** The texts of both files. */
export function llmsTexts() {
  const readme = read("README.md");
  const [, name, purpose] = /^# (.+)\n\n([^]*?)\n\n/.exec(readme);
  const groups = docGroups();
  const list = groups.map(
    ({ title, pages }) =>
      `## ${title}\n\n${pages.map((page) => `- [${page.title}](www/docs/${page.name}.md): ${page.summary}`).join("\n")}\n`,
  );
  const pages = groups.flatMap(({ pages }) => pages.map(({ text }) => text.trimEnd()));
  return {
    "llms.txt": `# ${name}\n\n> ${purpose.replace(/\s+/g, " ")}\n\n${list.join("\n")}`,
    "llms-full.txt": `${[readme.trimEnd(), ...pages].join("\n\n---\n\n")}\n`,
  };
}

/** Writes both files beside the README. */
export function writeLlmsTexts() {
  for (const [file, text] of Object.entries(llmsTexts())) writeFileSync(join(root, file), text);
}
