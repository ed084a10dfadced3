// The site: the pages of www/docs. `npm run build:site` builds it and adds the API reference and the demo.
import { docGroups } from "../../../js/build/llms.mjs";

/** As GitHub makes them, so that links with anchors work in both places. */
function slugify(title) {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");
}

export default {
  title: "eventferry",
  description:
    "Publish and consume events from browsers, edge runtimes and servers, with an outbox that delivers what it has accepted.",
  srcDir: "../docs",
  outDir: "../../target/site",
  cacheDir: "../../target/site-cache",
  base: process.env.SITE_BASE ?? "/",
  lastUpdated: false,
  markdown: { anchor: { slugify } },
  // The build adds these two; check-links.mjs looks for them.
  ignoreDeadLinks: [/^\/(reference|demo)\//],
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Documentation", link: "/" },
      { text: "Errors", link: "/errors" },
      { text: "Reference", link: "/reference/index.html", target: "_self" },
      { text: "Demo", link: "/demo/index.html", target: "_self" },
    ],
    sidebar: docGroups().map(({ title, pages }) => ({
      text: title,
      items: pages.map(({ name, title }) => ({
        text: title.replace(/^Guide: /, "").replaceAll("`", ""),
        link: `/${name}`,
      })),
    })),
  },
};
