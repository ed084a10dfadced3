// The link checker of the site: it finds dead links of each kind, and nothing else.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { deadLinks } from "../../www/check-links.mjs";

function site(pages) {
  const folder = mkdtempSync(join(tmpdir(), "eventferry-links-"));
  for (const [name, html] of Object.entries(pages)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), html);
  }
  return folder;
}

test("dead files, dead anchors and links beside the base are found, others are not", () => {
  const folder = site({
    "index.html": `<h1 id="top">x</h1><a href="#top">a</a><a class="b" href="/base/guide/">b</a><a href="guide/index.html?x=1#err_timeout">c</a>
      <a href="https://example.com/nowhere">d</a><a href="mailto:a@example.com">e</a><script src="/base/app.js"></script>
      <a href="#bottom">f</a><a href="missing.html">g</a><a href="/other/">h</a><a href="guide/#none">i</a><img src="/base/none.png">`,
    "guide/index.html": '<h2 id="err_timeout">x</h2><a href="../index.html">a</a>',
    "app.js": "",
  });
  try {
    assert.deepEqual(deadLinks(folder, "/base/"), [
      "index.html: #bottom has no such anchor",
      "index.html: missing.html does not exist",
      "index.html: /other/ is not below /base/",
      "index.html: guide/#none has no such anchor",
      "index.html: /base/none.png does not exist",
    ]);
    assert.equal(deadLinks(folder, "/").length, 7, "without the base, /base/guide/ and /base/app.js are missing too");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
