/** Reads topics from YAML 1.2, in which `On` is a string, with anchors, aliases and merge keys. Tags create no objects. */
import { type Document, parseDocument } from "yaml";
import { invalidArgument } from "../../engine/messages.js";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the line and column of each error */
export function parseTopicsYaml(text: string): unknown {
  const document = parse(text);
  if (document.errors.length > 0) {
    const errors = document.errors.map(({ message }) => message.split("\n")[0]!.replace(/:$/, ""));
    throw invalidArgument(`topics must be valid YAML: ${errors.join("; ")}`);
  }
  let definitions: unknown;
  try {
    definitions = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw invalidArgument(`topics cannot be read as YAML: ${(error as Error).message}`);
  }
  if (typeof definitions === "string")
    throw invalidArgument("topics must be the YAML text of an object; to load a file, read it first and pass its text");
  return definitions;
}

function parse(text: string): Document.Parsed {
  try {
    return parseDocument(text, { version: "1.2", merge: true });
  } catch (cause) {
    // The package yaml reads two environment variables that switch on its debug output.
    if (!/^(?:NotCapable|PermissionDenied)$/.test((cause as Error)?.name)) throw cause;
    throw invalidArgument(
      "YAML needs Deno's permission --allow-env=LOG_TOKENS,LOG_STREAM, because the package yaml reads these two variables; topics as an object need no permission",
    );
  }
}
