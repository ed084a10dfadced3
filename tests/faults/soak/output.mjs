// The output of the soak clients to their parent process.
import { writeSync } from "node:fs";

/** The number of an event: PushTopic records have it elsewhere than platform and change events. */
export const numberOf = ({ payload, sobject }) => (payload ?? sobject).Number;

export function print(line) {
  for (let text = `${line}\n`; text !== ""; ) {
    try {
      text = text.slice(writeSync(1, text));
    } catch (error) {
      // EAGAIN: the pipe is full, so the write is repeated.
      if (error.code !== "EAGAIN") throw error;
    }
  }
}
