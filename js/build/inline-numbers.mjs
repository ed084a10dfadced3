// Writes the numbers of `js/engine/generated/tables.ts` into the code that names them, as TypeScript does with a `const enum`:
// `OUTBOX_INPUTS.stage` becomes `2 /* OUTBOX_INPUTS.stage */`. A table that no code needs any more is left out by the bundler
// of the application.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const TABLES = "engine/generated/tables.js";

/** @param folder has the compiled TypeScript */
export async function inlineNumbers(folder) {
  const tables = await import(pathToFileURL(resolve(folder, TABLES)).href);
  const numbers = new Map(
    Object.entries(tables).flatMap(([table, members]) =>
      Object.entries(members).flatMap(([name, value]) =>
        typeof value === "number" ? [[`${table}.${name}`, `${value} /* ${table}.${name} */`]] : [],
      ),
    ),
  );
  for (const file of readdirSync(folder, { recursive: true })) {
    if (!file.endsWith(".js")) continue;
    const path = resolve(folder, file);
    const text = readFileSync(path, "utf8");
    const inlined = text.replaceAll(/(?<![\w.$])[A-Z_]+\.\w+/g, (access) => numbers.get(access) ?? access);
    if (inlined !== text) writeFileSync(path, inlined);
  }
}
