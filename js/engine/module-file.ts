/**
 * Reads the file of a module, which the package has beside its JavaScript. That is quicker than to put the text back in order.
 *
 * A file with the name of the module may be another one: a bundler may have replaced `import.meta.url` by a place where a
 * later version is installed now. So each file ends with its id, which is made from what is before it.
 */
interface FileSystem {
  readFileSync(place: URL): Uint8Array<ArrayBuffer>;
}

/**
 * The code of a module; undefined if its file is not there, may not be read, or is another one.
 *
 * @param name the name of the file, without `.wasm`
 * @param id what the file ends with
 * @param place `import.meta.url` of a file that is two folders below the package's `dist`; not there in CommonJS
 */
export function moduleFile(name: string, id: string, place: string | undefined): Uint8Array<ArrayBuffer> | undefined {
  // Deno has the function too, and would ask the user for permission to read.
  if ("Deno" in globalThis) return undefined;
  try {
    const { process } = globalThis as unknown as { process: { getBuiltinModule(name: string): FileSystem } };
    const file = process.getBuiltinModule("node:fs").readFileSync(new URL(`../../wasm/${name}.wasm`, place));
    return String.fromCharCode(...file.subarray(-id.length)) === id ? file : undefined;
  } catch {
    return undefined;
  }
}
