// What the programs share: the flag --port, a server that listens or says why it cannot, and an orderly end.

/** The port on which the programs listen unless `--port` says otherwise. */
export const DEFAULT_PORT = 8787;

/** Prints a sentence and ends the program with 1. */
export function fail(sentence) {
  console.error(`\x1b[31m✗\x1b[0m ${sentence}`);
  process.exit(1);
}

/** The port of the flag, or undefined without the flag. */
export function readPort(text) {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    fail(`--port must be an integer from 0 to 65535; received ${JSON.stringify(text)}`);
  return port;
}

/**
 * Lets an emulator listen.
 *
 * @param ports the ports to try, in this order; 0 is any free port
 * @returns the URL without a slash at the end
 */
export async function listen(emulator, ports) {
  for (const port of ports) {
    try {
      return (await emulator.listen(port)).url;
    } catch (error) {
      if (error.cause?.code !== "EADDRINUSE") fail(error.message);
    }
  }
  const taken = ports.length === 1 ? `port ${ports[0]} is` : `all ports from ${ports[0]} to ${ports.at(-1)} are`;
  fail(`${taken} in use; choose another one with --port=<port>, or any free one with --port=0`);
}

/** Closes the emulator when the program is asked to end. */
export function closeOnSignals(emulator) {
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void emulator.close());
}
