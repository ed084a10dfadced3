/** The emulator. */
export { createEmulator } from "./testing/emulator.js";
