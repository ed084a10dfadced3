/** Turns the errors of the JSON Schema validator into problems with a path and a sentence. */
import type { OutputUnit } from "@cfworker/json-schema";
import type { Problem } from "./envelope.js";

/** Keywords that apply subschemas. Their own error is redundant if the error of the subschema follows. */
const APPLICATORS = [
  "properties",
  "patternProperties",
  "additionalProperties",
  "unevaluatedProperties",
  "propertyNames",
  "items",
  "additionalItems",
  "prefixItems",
  "unevaluatedItems",
  "dependencies",
  "dependentSchemas",
  "allOf",
  "$ref",
  "$recursiveRef",
  "if",
];
const ALTERNATIVES = ["anyOf", "oneOf", "not", "contains"];

/** The innermost error of each nest of errors. */
export function toProblems(errors: readonly OutputUnit[]): Problem[] {
  const problems: Problem[] = [];
  errors.forEach(({ instanceLocation, keyword, keywordLocation, error }, index) => {
    const next = errors[index + 1];
    // The errors inside each alternative follow that of the whole, and do not help.
    const isInAlternative = errors.some(
      (outer, outerIndex) =>
        outerIndex < index &&
        ALTERNATIVES.includes(outer.keyword) &&
        keywordLocation.startsWith(`${outer.keywordLocation}/`),
    );
    if (isInAlternative || keyword === "false") return;
    const isForbidden = next?.keyword === "false";
    if (APPLICATORS.includes(keyword) && next && !isForbidden && next.keywordLocation.startsWith(keywordLocation))
      return;
    problems.push({
      path: dataPath(isForbidden ? next.instanceLocation : instanceLocation),
      rule: `${keyword} at ${keywordLocation}`,
      message: isForbidden ? "must not be present" : problemMessage(error),
    });
  });
  return problems;
}

/** The validator's message as the end of a sentence. */
function problemMessage(error: string): string {
  const [, type, expected] = /^Instance type "(\w+)" is invalid\. Expected (.+)\.$/.exec(error) ?? [];
  if (type) return `must be ${expected!.replaceAll('"', "").replaceAll(", ", " or ")}, not ${type}`;
  const [, member] = /^Instance does not have required property (".*")\.$/s.exec(error) ?? [];
  return member ? `needs the member ${member}` : `is invalid: ${error.replace(/\.$/, "").replaceAll("  ", " ")}`;
}

/** `#/address/lines/0` as `data.address.lines[0]`. */
function dataPath(location: string): string {
  const steps = location
    .split("/")
    .slice(1)
    .map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));
  return steps.reduce(
    (path, step) =>
      path + (/^\d+$/.test(step) ? `[${step}]` : /^[\w$-]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`),
    "data",
  );
}
