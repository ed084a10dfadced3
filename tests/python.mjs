// Python packages for the tests. Each set has its own virtual environment, which is created once.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runChild } from "./child.mjs";
import { missing } from "./tally.mjs";

const HOME = fileURLToPath(new URL("interop/.python/", import.meta.url));
/** The interpreters to try, in this order. */
const INTERPRETERS = ["python3.11", "python3.12", "python3"];

/**
 * A Python interpreter with these packages.
 *
 * @param {string} name folder name of the environment
 * @param {string[]} requirements pinned requirements for pip: `["glassflow==2.1.0"]`
 * @returns {Promise<string>} the path of the interpreter
 * @throws {Skip} if Python or the registry is missing; an Error with CI=true
 */
export async function python(name, requirements) {
  const folder = join(HOME, name);
  const interpreter = join(folder, "bin", "python");
  const stamp = join(folder, "requirements.txt");
  const wanted = `${requirements.join("\n")}\n`;
  if (existsSync(interpreter) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return interpreter;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(HOME, { recursive: true });
  console.log(`  installing Python packages: ${requirements.join(" ")}`);
  const quietly = { show: false, minutes: 4 };
  if (!(await makeEnvironment(folder, quietly)))
    throw missing("Python 3 with venv is not installed (Debian: apt-get install python3-venv)");
  const { problem, output } = await runChild(
    interpreter,
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...requirements],
    quietly,
  );
  if (problem) throw missing(`pip could not install ${requirements.join(" ")}: ${output.trim().split("\n").at(-1)}`);
  writeFileSync(stamp, wanted);
  return interpreter;
}

async function makeEnvironment(folder, options) {
  for (const program of INTERPRETERS) {
    const { ok } = await runChild(program, ["-m", "venv", folder], options);
    if (ok) return true;
  }
  return false;
}
