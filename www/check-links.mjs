// Finds links of a static site to files or anchors of the site that do not exist. Links to other hosts are not checked.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/**
 * @param folder the site
 * @param base the path below which it is served
 * @returns {string[]} a sentence for each dead link
 */
export function deadLinks(folder, base = "/") {
  const pages = new Map(
    readdirSync(folder, { recursive: true })
      .filter((name) => name.endsWith(".html"))
      .map((name) => [join(folder, name), readFileSync(join(folder, name), "utf8")]),
  );
  const dead = new Set();
  for (const [path, html] of pages) {
    for (const [, link] of html.matchAll(/<[^>]*?\s(?:href|src)="([^"]*)"/g)) {
      const problem = problemOf(link.replaceAll("&amp;", "&"), { path, folder, base, pages });
      if (problem) dead.add(`${relative(folder, path)}: ${link} ${problem}`);
    }
  }
  return [...dead];
}

function problemOf(link, { path, folder, base, pages }) {
  if (/^(?:[a-z][\w+.-]*:|\/\/)/i.test(link)) return undefined;
  const [address, anchor] = link.split("#");
  const target = decodeURIComponent(address.split("?")[0]);
  let file;
  if (target === "") file = path;
  else if (!target.startsWith("/")) file = join(dirname(path), target);
  else if (target.startsWith(base)) file = join(folder, target.slice(base.length));
  else return `is not below ${base}`;
  if (existsSync(file) && statSync(file).isDirectory()) file = join(file, "index.html");
  if (!existsSync(file)) return "does not exist";
  if (!anchor || !pages.has(file)) return undefined;
  const id = decodeURIComponent(anchor).replace(/["&<>]/g, "");
  return pages.get(file).includes(`id="${id}"`) ? undefined : "has no such anchor";
}
