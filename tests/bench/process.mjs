// What the SDK looks for when it is loaded in a browser.
export const process = { env: {}, version: "", versions: {} };
