// What the clients of the soak say to their parent.
import { writeSync } from "node:fs";

/** The numbers of records stand elsewhere than those of events. */
export const numberOf = ({ payload, sobject }) => (payload ?? sobject).Number;

export function say(line) {
  for (let text = `${line}\n`; text !== ""; ) {
    try {
      text = text.slice(writeSync(1, text));
    } catch (error) {
      // The pipe is full for the moment.
      if (error.code !== "EAGAIN") throw error;
    }
  }
}
