// The work of a listener with an event. `data` is a function, because some clients parse the data on first use.

export const READERS = {
  /** Reads channel and replay id. */
  head: (channel, replayId) => channel.length + (Number(replayId()) % 1000),
  /** Reads all of the data. */
  data: (channel, _, data) => channel.length + sumOf(data()),
};

function sumOf(value) {
  switch (typeof value) {
    case "string":
      return value.length;
    case "number":
      return value % 1000;
    case "boolean":
      return 1;
    default: {
      let sum = 0;
      for (const key in value) sum += sumOf(value[key]);
      return sum;
    }
  }
}
