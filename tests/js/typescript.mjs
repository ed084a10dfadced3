// Compiles programs that use the package, as applications do.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

// Inside the project, so that the package is resolved by its own name.
const here = dirname(fileURLToPath(import.meta.url));
const OPTIONS = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
  types: [],
};

/** The compiler errors of these programs, each with its file (by index) and line. */
export function problemsOf(codes) {
  const folder = mkdtempSync(join(here, ".types-"));
  try {
    const files = codes.map((code, at) => {
      const file = join(folder, `program${at}.mts`);
      writeFileSync(file, code);
      return file;
    });
    return ts.getPreEmitDiagnostics(ts.createProgram(files, OPTIONS)).map(({ messageText, file, start }) => {
      const place = file && `${file.fileName.split("/").at(-1)}:${file.getLineAndCharacterOfPosition(start).line + 1}`;
      return `${place} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
