import { init } from "eventferry/slim";
import codecs from "eventferry/wasm/codecs.wasm";

export const loaded: Promise<void> = init({ codecs });
