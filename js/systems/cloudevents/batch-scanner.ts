/**
 * Scans batches. The codecs do it until the first `Filter` is made; from then on the module of the filters does, which
 * keeps the text and its offsets in memory, so that a filter needs no second scan.
 */
import type { Glue } from "../../engine/module.js";
import { codecs } from "../../engine/modules/codecs.js";
import type { ScannerExports } from "../../engine/ports.js";
import type { TextModule } from "../../engine/text-module.js";
import type { BatchFormat } from "./batch-options.js";
import type { EventSelector } from "./event-selector.js";
import { INDEX, ROW_WORDS, rowsAt } from "./table.js";

/** A module that scans batches. */
export interface BatchScanner {
  readonly module: TextModule<Glue<ScannerExports>>;
  scan(length: number, lines: number, inBytes: number, isTrusted: number): number;
}

/** A batch in the memory of the scanner. */
export interface Scan {
  /** 0, the number of an error, or -1 for text with a lone surrogate. */
  readonly code: number;
  /** The number of events; after an error, the index of the event that has it. */
  readonly count: number;
  /** The table of the scanner, with the details of an error. */
  readonly table: Uint32Array;
  /** The rows of the events. Empty after an error. */
  readonly rows: Uint32Array;
  /** The rows are only those of events that were selected. */
  readonly isSelected: boolean;
}

let scanner: BatchScanner = {
  module: codecs,
  // It checks everything, also what is trusted.
  scan: (length, lines, inBytes) => codecs.exports.scan_all(length, lines, inBytes),
};
/** The scan whose text is in the memory of the scanner. */
let current: { readonly scan: Scan; readonly writes: number } | undefined;

/** How a batch is scanned. */
export interface ScanOptions {
  readonly format: BatchFormat;
  /** Arrays and objects are skipped by their brackets. */
  readonly isTrusted: boolean;
  /** If a line of NDJSON is not valid, only the valid ones get rows. The codecs report an error all the same. */
  readonly skipsInvalid: boolean;
}

/** Lets another module scan batches. */
export function scanBatchesWith(other: BatchScanner): void {
  if (scanner.module === other.module) return;
  scanner = other;
  current = undefined;
}

/** Whether the text and the offsets of a scan are still in the memory of the scanner. */
export function isInMemory(scan: Scan | undefined): boolean {
  return current !== undefined && current.scan === scan && current.writes === scanner.module.writes;
}

/**
 * Scans a batch.
 *
 * @param selector chooses the events of which there shall be rows. The batch stays in memory until something else is written
 */
export function scanBatch(
  source: string | Uint8Array,
  { format, isTrusted, skipsInvalid }: ScanOptions,
  selector?: EventSelector,
): Scan {
  const { module } = scanner;
  const hasBytes = typeof source !== "string";
  const lines = format === "ndjson" ? 1 + +skipsInvalid : 0;
  current = undefined;
  const length = hasBytes ? module.putBytes(source) : module.putText(source);
  if (length < 0) return { code: -1, count: 0, table: module.table, rows: new Uint32Array(0), isSelected: false };
  const code = module.call(() => scanner.scan(length, lines, +hasBytes, +isTrusted));
  // The scan may have grown the memory, which detaches the views.
  const { memory, table: tableAddress, rows: rowsAddress } = module.exports;
  const table = module.table.length > 0 ? module.table : new Uint32Array(memory.buffer, tableAddress(), INDEX + 1);
  const count = table[INDEX]!;
  const isSelected = code === 0 && selector !== undefined;
  // Nothing is written to the memory of the scanner before the events are selected, so there is nothing to bring back.
  const places = isSelected ? selector.selectEvents!(count, () => undefined) : undefined;
  const all = new Uint32Array(memory.buffer, rowsAddress(), code === 0 ? ROW_WORDS * count : 0);
  const scan = { code, count, table, rows: places ? rowsAt(all, places) : new Uint32Array(all), isSelected };
  if (code === 0 && !isSelected) current = { scan, writes: module.writes };
  return scan;
}

/**
 * A copy of the bytes that were scanned last. The scan has just read them, so they are in the cache of the processor, where the
 * bytes that it was given are not any more; and a view that is copied by the constructor is not cleared before, as by `slice`.
 */
export function scannedBytes(length: number): Uint8Array {
  return new Uint8Array(bytesInScanner(length));
}

/** The bytes that were scanned last, until something else is written to the memory of the scanner. */
export function bytesInScanner(length: number): Uint8Array {
  const { memory, reserve } = scanner.module.exports;
  return new Uint8Array(memory.buffer, reserve(length) >>> 0, length);
}
