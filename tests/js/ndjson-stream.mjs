// A long stream of NDJSON, and what is done with it: each batch is filtered, and what is left is written.

/** One line. The id and a number in the data are overwritten, so that no two lines are the same. */
const DIGITS = "0000000000";
const LINE = `${JSON.stringify({
  specversion: "1.0",
  id: DIGITS,
  source: "/shops/north/orders",
  type: "com.example.order.paid",
  subject: DIGITS,
  region: "eu",
  data: {
    orderId: DIGITS,
    note: "amber birch cedar delta ember fjord grove ".repeat(10),
    items: [{ sku: "lunar-17", quantity: 3, gift: false }],
  },
})}\n`;
const CHUNK_LINES = 100;

/** A stream of about this many bytes. */
export function linesOf(totalBytes) {
  const encoder = new TextEncoder();
  const line = encoder.encode(LINE);
  const places = [];
  for (let at = LINE.indexOf(DIGITS); at >= 0; at = LINE.indexOf(DIGITS, at + 1)) places.push(at);
  let lines = 0;
  const left = () => Math.ceil(totalBytes / line.length) - lines;
  return new ReadableStream(
    {
      pull(controller) {
        const count = Math.min(CHUNK_LINES, left());
        if (count <= 0) return controller.close();
        const chunk = new Uint8Array(count * line.length);
        for (let at = 0; at < count; at++) {
          chunk.set(line, at * line.length);
          let number = lines++;
          for (let digit = DIGITS.length - 1; digit >= 0; digit--) {
            const byte = 0x30 + (number % 10);
            number = Math.floor(number / 10);
            for (const place of places) chunk[at * line.length + place + digit] = byte;
          }
        }
        controller.enqueue(chunk);
      },
    },
    { highWaterMark: 0 },
  );
}

/** Keeps the memories of all WebAssembly instances that are made from now on. Returns their size in bytes. */
export function watchMemories() {
  const memories = [];
  const { Instance } = WebAssembly;
  WebAssembly.Instance = class extends Instance {
    constructor(...args) {
      super(...args);
      if (this.exports.memory) memories.push(this.exports.memory);
    }
  };
  return () => memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
}

/** Reads a stream to its end. `afterBatch` is called after each batch, with the bytes of events so far, and awaited. */
export async function filterAll({ EventBatch, Filter }, body, afterBatch) {
  const filter = Filter.sql("region = 'eu' AND subject LIKE '%9'");
  const totals = { events: 0, kept: 0, bytes: 0, keptBytes: 0 };
  for await (const batch of EventBatch.stream(body, { format: "ndjson" })) {
    const kept = batch.filter(filter);
    const text = kept.toBytes("ndjson");
    totals.events += batch.length;
    totals.kept += kept.length;
    totals.bytes += (text.length / kept.length) * batch.length;
    totals.keptBytes += text.length;
    await afterBatch(totals);
  }
  return totals;
}
