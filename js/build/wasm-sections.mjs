// Reads the sections of a WebAssembly module, and puts them together again.

/** The sections of a module, in order: `id` and `content`. */
export function sectionsOf(wasm) {
  const sections = [];
  for (let at = 8; at < wasm.length; ) {
    const start = at;
    const reader = readerOf(wasm, at + 1);
    const size = reader.integer();
    at = reader.at + size;
    sections.push({ id: wasm[start], content: wasm.subarray(reader.at, at) });
  }
  return sections;
}

/** The module with these sections in place of its own. */
export function withSections(wasm, sections) {
  const parts = sections.flatMap(({ id, content }) => [Buffer.from([id]), encoded(content.length), content]);
  return Buffer.concat([wasm.subarray(0, 8), ...parts]);
}

/** Reads integers and counted bytes of the binary format. */
export function readerOf(buffer, at) {
  return {
    at,
    integer() {
      let value = 0;
      for (let factor = 1; ; factor *= 128) {
        const byte = buffer[this.at++];
        value += (byte & 127) * factor;
        if (byte < 128) return value;
      }
    },
    bytes() {
      const length = this.integer();
      this.at += length;
      return buffer.subarray(this.at - length, this.at);
    },
  };
}

/** An integer in the binary format. */
export function encoded(value) {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return Buffer.from([...bytes, value]);
}
