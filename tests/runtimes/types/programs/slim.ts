import { init, isSupported } from "eventferry/slim";

export const loaded: Promise<void> = init({
  codecs: new URL("https://example.com/codecs.wasm"),
  publish: new Uint8Array(8),
});
export const supported: boolean = isSupported();
