// Checks of the package itself: its manifest, its types, and that it contains no path of the build machine.
import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { runChild } from "../child.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const COMPILERS = {
  "the newest TypeScript": join(here, "node_modules/typescript"),
  "the TypeScript of the build": join(root, "node_modules/typescript"),
};
const STRICT = ["--noEmit", "--strict", "--skipLibCheck", "false", "--target", "es2022", "--lib", "es2022,dom"];
const RESOLUTIONS = {
  node16: ["--module", "node16", "--moduleResolution", "node16", "types.mts", "types.cts"],
  bundler: ["--module", "esnext", "--moduleResolution", "bundler", "types.mts"],
};

export async function packageChecks({ app, installed }, tally) {
  const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));

  await tally.check("publint reports no problem", async () => {
    const { messages } = await publint({ pkgDir: installed, level: "warning", pack: false });
    if (messages.length > 0)
      throw new Error(messages.map((message) => formatMessage(message, manifest, { color: false })).join("\n    "));
  });

  for (const [compiler, folder] of Object.entries(COMPILERS)) {
    for (const [resolution, args] of Object.entries(RESOLUTIONS)) {
      await tally.check(`the types compile with ${compiler} and moduleResolution ${resolution}`, async () => {
        const { ok, output } = await runChild(process.execPath, [join(folder, "bin/tsc"), ...STRICT, ...args], {
          cwd: app,
          minutes: 2,
          show: false,
        });
        if (!ok) throw new Error(output);
      });
    }
  }

  await tally.check("the package contains no path of the build machine", () => {
    const paths = [homedir(), root, process.env.CARGO_HOME]
      .filter((path) => path?.length > 1)
      .map((path) => Buffer.from(path));
    const files = readdirSync(installed, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
    const offending = files.filter((file) => {
      const content = readFileSync(join(file.parentPath ?? file.path, file.name));
      return paths.some((path) => content.includes(path));
    });
    if (offending.length > 0) throw new Error(offending.map((file) => file.name).join(", "));
    return `${files.length} files`;
  });
}
