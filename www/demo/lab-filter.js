// The filter of the batch lab: the text of its field compiled, and the place of an error in it.
import { Filter } from "eventferry/cloudevents";

/** The dialects, each with the filter that is shown first and with the code that makes it. */
export const DIALECTS = {
  sql: {
    initial: "type LIKE 'com.example.order.%' AND priority > 1",
    compile: (text) => Filter.sql(text),
    code: (text) => `Filter.sql(${JSON.stringify(text)})`,
  },
  json: {
    initial: '{ "all": [{ "suffix": { "type": ".paid" } }, { "not": { "exact": { "region": "us" } } }] }',
    compile: (text) => Filter.from(parse(text)),
    code: (text) => `Filter.from(${text.trim()})`,
  },
};

function parse(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Expected a filter as JSON, such as { "exact": { "type": "a" } }. ${error.message}`);
  }
}

/** Characters that are shown before and after an error. */
const BEFORE = 30;
const AFTER = 12;

/** Two lines: the text around the error, and a mark below its place. Nothing, if the message names no place. */
export function markError(text, message) {
  const position = Number(/not valid at position (\d+)/.exec(message)?.[1] ?? Number.NaN);
  if (Number.isNaN(position)) return "";
  const start = Math.max(text.lastIndexOf("\n", position - 1) + 1, position - BEFORE);
  const [line] = text.slice(start, position + AFTER).split("\n");
  return `${line}\n${" ".repeat(position - start)}^`;
}
