// What a listener does with an event: `data` gives what it carries, which some work out only when they are asked.

export const READERS = {
  /** Where it is from, and where to go on after it. */
  head: (channel, replayId) => channel.length + (Number(replayId()) % 1000),
  /** Everything in it. */
  data: (channel, _, data) => channel.length + weigh(data()),
};

function weigh(value) {
  switch (typeof value) {
    case "string":
      return value.length;
    case "number":
      return value % 1000;
    case "boolean":
      return 1;
    default: {
      let sum = 0;
      for (const key in value) sum += weigh(value[key]);
      return sum;
    }
  }
}
