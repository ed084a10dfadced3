// The part of `process` that the SDK needs when it is loaded in a browser.
export const process = { env: {}, version: "", versions: {} };
