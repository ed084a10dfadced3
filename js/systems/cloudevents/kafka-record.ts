/**
 * Records of the clients of Kafka:
 *
 * | client | headers | value |
 * |---|---|---|
 * | kafkajs, and the same API of Confluent's client | by name: bytes, or a list of bytes | bytes |
 * | node-rdkafka, and the same API of Confluent's client | a list of objects with one name each: bytes | bytes |
 * | AWS Lambda, for MSK and for other clusters | a list of objects with one name each: a list of numbers | Base64 |
 */
import { FerryError } from "../../engine/errors.js";
import { fromBase64 } from "./bytes.js";
import type { ReceivedKafkaMessage } from "./message-types.js";

/** The headers of a record, one after the other. */
export function* headersOfRecord(headers: ReceivedKafkaMessage["headers"]): Generator<[name: string, value: unknown]> {
  for (const group of Array.isArray(headers) ? headers : [headers ?? {}]) {
    for (const [name, value] of Object.entries(group as Record<string, unknown>)) {
      if (!Array.isArray(value)) yield [name, value];
      // The bytes of a header are numbers from -128 to 127 where the JSON was written in Java.
      else if (value.every((byte) => typeof byte === "number")) yield [name, Uint8Array.from(value)];
      else for (const one of value) yield [name, one];
    }
  }
}

/** The data of a record. */
export function valueOfRecord({ value, timestampType }: ReceivedKafkaMessage): string | Uint8Array | null | undefined {
  if (typeof value !== "string" || typeof timestampType !== "string") return value;
  try {
    return fromBase64(value);
  } catch (cause) {
    throw new FerryError("ERR_INVALID_DATA", "the value of the record of AWS Lambda is not Base64", {
      attribute: "data",
      cause,
    });
  }
}
